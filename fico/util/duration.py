"""Durations as a user types them."""

import math
import re

from fico.errors import UsageError

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}


def seconds_of(duration: str | float, name: str) -> float:
    """Seconds of ``90``, ``90s``, ``30m``, ``1.5h`` or ``10ms``.

    Args:
        duration: A number of seconds, or a number with a unit.
        name: The key or option that holds it, for the error.

    Raises:
        UsageError: It is none of these, or not above 0.
    """
    number, unit = re.fullmatch(r"(.*?)(us|ms|[smh]?)", str(duration).strip(), re.DOTALL).groups()  # type: ignore[union-attr]
    try:
        seconds = float(number) * _UNITS[unit or "s"]
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UsageError(
            f"{name} is {duration!r}; give seconds, milliseconds, minutes or hours, such as 90s, 10ms, 30m or 2h"
        )
    return seconds
