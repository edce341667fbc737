"""The project's config as `run.py` composes it."""

import copy
from functools import cache
from pathlib import Path

from hydra import compose, initialize_config_dir

from fico.experiment.config.resolvers import register_resolvers

CONF = Path(__file__).resolve().parents[1] / "conf"


def composed(*overrides, with_hydra=False):
    """The config under the overrides; Hydra composes each once, a tenth of a second, and tests get copies."""
    register_resolvers()
    return copy.deepcopy(_composed(overrides, with_hydra))


@cache
def _composed(overrides, with_hydra):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", list(overrides), return_hydra_config=with_hydra)


def options(group):
    """Names of the files of a group."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def trained():
    """Models with a network and data of their own; a cascade is of two runs."""
    return [model for model in options("model") if model != "cascade"]
