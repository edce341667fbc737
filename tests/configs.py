"""The project's config as `run.py` composes it."""

import pickle
from functools import cache

from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser

from fico.experiment.config.resolvers import register_resolvers
from tests.parsed_once import CONF


def composed(*overrides, with_hydra=False):
    """The config under the overrides.

    Hydra composes each choice of groups once, a tenth of a second; tests get copies, in which Hydra sets the values.
    """
    register_resolvers()
    if with_hydra:  # its node lists all overrides
        return _copy(composed_whole(*overrides, with_hydra=True))
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    values = [each for each in parsed if not (each.is_hydra_override() or (CONF / each.key_or_group).is_dir())]
    config = _copy(composed_whole(*(each.input_line for each in parsed if each not in values)))
    ConfigLoaderImpl._apply_overrides_to_config(values, config)
    return config


def _copy(config):
    """As `copy.deepcopy`, in a seventh of its time."""
    return pickle.loads(pickle.dumps(config))


@cache
def composed_whole(*overrides, with_hydra=False):
    """The config as Hydra composes it in one go."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", list(overrides), return_hydra_config=with_hydra)


def options(group):
    """Names of the files of a group."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def trained():
    """Models with a network and data of their own; a cascade is of two runs."""
    return [model for model in options("model") if model != "cascade"]
