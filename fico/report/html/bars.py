"""Bars of a histogram on a page."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bar:
    """Items whose value is in one interval; ``fraction`` of the longest bar."""

    name: str
    items: int
    fraction: float


def bars(names: Sequence[str], counts: Sequence[int]) -> tuple[Bar, ...]:
    """One bar for each count; the longest has the fraction 1."""
    most = max(1, *counts)
    return tuple(Bar(name, count, count / most) for name, count in zip(names, counts, strict=True))
