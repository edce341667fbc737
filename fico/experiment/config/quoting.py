"""Overrides as a shell hands them over, quoted where Hydra's grammar would not read a path in them."""

from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

STRUCTURED = ("[", "{", "'", '"', "$")  # lists, dicts, quoted texts, interpolations: their errors are Hydra's to tell


def quoted(arguments: Sequence[str]) -> list[str]:
    """The same arguments, in quotes of Hydra where a value has spaces, ``=``, commas or letters beyond ASCII.

    Args:
        arguments: The command line without the program.

    Returns:
        As many arguments. A comma separates the values of a sweep (``-m``); in a single run it is one of an existing
        path.
    """
    parser, is_sweep = OverridesParser.create(), bool({"-m", "--multirun"} & set(arguments))
    return [_quoted(argument, parser, is_sweep=is_sweep) for argument in arguments]


def _quoted(argument: str, parser: OverridesParser, *, is_sweep: bool) -> str:
    key, separator, value = argument.partition("=")
    if argument.startswith("-") or not separator or value.startswith(STRUCTURED):
        return argument
    try:
        is_list = parser.parse_override(argument).is_sweep_override()
        if is_sweep or not is_list or not Path(value).expanduser().exists():
            return argument
    except HydraException:
        pass
    escaped = value.replace("\\'", "\\\\'").replace("'", "\\'")
    candidate = f"{key}='{escaped}'"
    try:
        parser.parse_override(candidate)
    except HydraException:
        return argument
    return candidate
