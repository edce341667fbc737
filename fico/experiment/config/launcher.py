"""Hydra's launchers: what is missing for one, and one that Hydra would ignore."""

import os
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fico.errors import UsageError

EXTRAS = {"hydra_submitit_launcher": "submitit", "hydra_ray_launcher": "ray-launcher"}  # by the package of the launcher
_GROUP = "hydra/launcher"
_ALL_AT_ONCE = "submitit_local"
_TIMED = ("callbacks.times", "callbacks.attention")  # of Tables 5 and 6
_NOTE = "FICO_LAUNCHER"  # variable that the jobs of a sweep inherit


def missing_launcher(error: BaseException) -> str | None:
    """The sentence for a launcher whose package is not installed; None for any other error.

    Args:
        error: What Hydra raised when it made the launcher.
    """
    package = next((package for package in EXTRAS if f"hydra_plugins.{package}." in str(error)), None)
    if package is None or "Unknown plugin class" not in str(error):
        return None
    extra = EXTRAS[package]
    return (
        f"{package.replace('_', '-')} is not installed; it comes with the extra {extra}: "
        f'pip install "fico[{extra}]", in a checkout -e ".[{extra}]"'
    )


def note_launcher(choices: Mapping[str, Any]) -> None:
    """Note for the jobs of a sweep what launches them.

    Args:
        choices: Chosen options by group, as the sweep sees them.
    """
    os.environ[_NOTE] = str(choices.get(_GROUP, "basic"))


def check_launcher(choices: Mapping[str, Any], config: DictConfig) -> None:
    """Refuse a launcher that would be ignored, or that would falsify what is timed.

    Hydra reads the launcher before it sweeps, so that one in a swept config file has no effect.

    Args:
        choices: Chosen options by group, as a job sees them.
        config: The job's.

    Raises:
        UsageError: The job runs with another launcher than its config says, or measures times beside all other jobs.
    """
    launcher, running = choices.get(_GROUP) or "basic", os.environ.get(_NOTE)
    if running is not None and launcher != running:
        raise UsageError(
            f"{_GROUP} is {launcher} in a config file that is swept over, where Hydra ignores it; give it on the "
            f"command line: -m {_GROUP}={launcher}"
        )
    timed = [key for key in _TIMED if OmegaConf.select(config, key) is not None]
    if running == _ALL_AT_ONCE and timed:
        raise UsageError(
            f"{_GROUP}={_ALL_AT_ONCE} runs all jobs at the same time, which falsifies the times of {timed[0]}; sweep "
            "without it, one job after the other"
        )
