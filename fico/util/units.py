"""Bytes, seconds and fractions as a reader wants them."""

import re

from fico.errors import UsageError

_THOUSANDS = ("", "k", "M", "G", "T")
_TWO_DAYS = 2 * 86_400
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB")


def bytes_text(size: float) -> str:
    """A size in the binary unit that leaves one to four digits before the point."""
    unit = 0
    while abs(size) >= 1024 and unit < len(_BINARY) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:,.0f} {_BINARY[unit]}" if unit == 0 else f"{size:,.1f} {_BINARY[unit]}"


def seconds_text(seconds: float) -> str:
    """A duration in the unit that leaves one to three digits before the point; minutes up to two days, then days."""
    if seconds == 0:
        return "0 s"
    for limit, factor, unit in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms")):
        if seconds < limit:
            return f"{seconds * factor:.3g} {unit}"
    if seconds < 600:
        return f"{seconds:.2f} s"
    return f"{seconds / 60:,.1f} min" if seconds <= _TWO_DAYS else f"{seconds / 86_400:,.1f} days"


def count_text(count: float) -> str:
    """A large count with three digits and its power of a thousand: ``1.23 M``, ``45.6 G``."""
    power = 0
    while abs(count) >= 999.5 and power < len(_THOUSANDS) - 1:
        count, power = count / 1000, power + 1
    return f"{count:.3g} {_THOUSANDS[power]}".strip()


def percent_text(fraction: float, digits: int = 1) -> str:
    """A fraction in percent, without the sign, which is in the heading."""
    return f"{100 * fraction:.{digits}f}"


_BYTES = {"b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


def parse_bytes(text: str, option: str) -> float:
    """A size that somebody typed, such as ``1GiB`` or ``500 MB``, in bytes.

    Raises:
        UsageError: It is no positive number with such a unit; the option is named.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", text.lower())
    value = float(found[1]) * _BYTES.get(found[2], 0.0) if found else 0.0
    if not value:
        raise UsageError(f"{option} is {text!r}; give a size such as 1GiB or 500MB")
    return value
