"""Hydra's mode without a composition of its own."""

from collections.abc import Sequence
from typing import Any

from hydra._internal.hydra import Hydra

_MULTIRUN = ("-m", "--multirun")
_KEYS = ("hydra", "hydra.mode", "hydra.searchpath")


def spare_composition(arguments: Sequence[str]) -> None:
    """Let Hydra compose a run's config once where nothing can set ``hydra.mode``.

    Hydra composes the whole config a first time for that key alone, which no file in ``conf`` sets.

    Args:
        arguments: The command line without the program.
    """
    if not any(map(may_set_mode, arguments)):
        Hydra.get_mode = _unset  # type: ignore[method-assign]


def may_set_mode(argument: str) -> bool:
    """Whether an argument sets ``hydra.mode``, or reads files of others, which may."""
    if argument.startswith("-"):
        return argument not in _MULTIRUN
    key = argument.partition("=")[0].lstrip("+~").strip()
    return key in _KEYS or key.startswith("hydra/") or "@" in key


def _unset(self: Hydra, config_name: str | None, overrides: list[str]) -> Any:
    """What Hydra finds where no file and no argument sets the mode: the one of ``--multirun`` holds."""
    return None
