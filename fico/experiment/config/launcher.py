"""Hydra's launchers: what is missing for one, and one that Hydra would ignore."""

import os
from collections.abc import Mapping
from typing import Any

from fico.errors import UsageError

EXTRAS = {"hydra_submitit_launcher": "submitit", "hydra_ray_launcher": "ray-launcher"}  # by the package of the launcher
_GROUP = "hydra/launcher"
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


def check_launcher(choices: Mapping[str, Any]) -> None:
    """Refuse a launcher that a swept config file chooses: Hydra reads it before it sweeps, and would ignore it.

    Args:
        choices: Chosen options by group, as a job sees them.

    Raises:
        UsageError: The job runs with another launcher than its config says.
    """
    launcher, running = choices.get(_GROUP) or "basic", os.environ.get(_NOTE)
    if running is not None and launcher != running:
        raise UsageError(
            f"{_GROUP} is {launcher} in a config file that is swept over, where Hydra ignores it; give it on the "
            f"command line: -m {_GROUP}={launcher}"
        )
