"""One metric of ``results.json``: value, interval, tie bounds, definition."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from fico.errors import FicoError
from fico.metrics.specification import RANKS


@dataclass(frozen=True, slots=True)
class Metric:
    """One number with what it needs to be read.

    Args:
        value: Fraction from 0 to 1; for MedR and MeanR a rank from 1.
        low: Lower end of the 95 % bootstrap interval, in the same unit; None without resamples (``bootstrap=0``).
        high: Upper end.
        queries: How many queries it is the mean of.
        definition: What was computed, in one sentence.
        pessimistic: Tie bound: the value with tied items in the worst order, where there are ties.
        optimistic: The same in the best order.
    """

    value: float
    low: float | None
    high: float | None
    queries: int
    definition: str
    pessimistic: float | None = None
    optimistic: float | None = None

    @classmethod
    def from_mapping(cls, plain: Mapping[str, Any]) -> Self:
        """From a JSON object, which leaves out what is None.

        Raises:
            TypeError: A key is unknown or missing.
        """
        return cls(**{"low": None, "high": None, **plain})

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends of the 95 % interval, or None."""
        return None if self.low is None or self.high is None else (self.low, self.high)


def is_rank(name: str) -> bool:
    """Whether a metric counts ranks from 1 (MedR, MeanR) and is not a fraction."""
    return name.rpartition("/")[2] in RANKS


def check_metric(name: str, metric: Metric) -> None:
    """Refuses what no metric can be.

    Raises:
        FicoError: A value or interval is not finite, a fraction is outside 0 to 1, or a rank is below 1.
    """
    least, most = (1.0, math.inf) if is_rank(name) else (0.0, 1.0)
    slack = 1e-9  # a mean of ones in floating point
    for part in ("value", "low", "high", "pessimistic", "optimistic"):
        number = getattr(metric, part)
        if number is None:
            continue
        if not math.isfinite(number) or not least - slack <= number <= most + slack:
            wanted = "a rank from 1" if is_rank(name) else "a fraction from 0 to 1"
            raise FicoError(f"{part} of {name} is {number}, expected {wanted}; no results were written")
