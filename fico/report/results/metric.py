"""One metric of ``results.json``: value, interval, tie bounds, definition."""

import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, Self

from fico.errors import FicoError
from fico.metrics.specification import Unit


@dataclass(frozen=True, slots=True)
class Metric:
    """One number with what it needs to be read.

    Args:
        value: In its unit: by default a fraction from 0 to 1; for MedR and MeanR a rank from 1.
        low: Lower end of the 95 % bootstrap interval, in the same unit; None without resamples (``bootstrap=0``).
        high: Upper end.
        queries: How many queries it is the mean of.
        definition: What was computed, in one sentence.
        pessimistic: Tie bound: the value with tied items in the worst order, where there are ties.
        optimistic: The same in the best order.
        unit: Of value, interval and tie bounds.
        higher_is_better: Whether the highest value is the best.
    """

    value: float
    low: float | None
    high: float | None
    queries: int
    definition: str
    pessimistic: float | None = None
    optimistic: float | None = None
    unit: Unit = "fraction"
    higher_is_better: bool = True

    @classmethod
    def from_mapping(cls, name: str, plain: Mapping[str, Any]) -> Self:
        """From a JSON object, which leaves out what is None and what has its default.

        Args:
            name: Of the metric; results of version 0.1 have no units, but MedR and MeanR are ranks.
            plain: The object.

        Raises:
            TypeError: A key is unknown or missing.
        """
        is_rank = name.rpartition("/")[2] in ("MedR", "MeanR")
        usual: dict[str, Any] = {"unit": "rank", "higher_is_better": False} if is_rank else {}
        return cls(**{"low": None, "high": None, **usual, **plain})

    def as_mapping(self) -> dict[str, Any]:
        """The JSON object."""
        return {name: value for name, value in asdict(self).items() if value != _DEFAULTS.get(name)}

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends of the 95 % interval, or None."""
        return None if self.low is None or self.high is None else (self.low, self.high)


_DEFAULTS = {part.name: part.default for part in fields(Metric) if part.default is not MISSING}


def factor(unit: Unit) -> float:
    """What a value is multiplied with where it is shown: fractions and their sums are percents."""
    return 100 if unit in ("fraction", "sum") else 1


def check_metric(name: str, metric: Metric) -> None:
    """Refuses what no metric can be.

    Raises:
        FicoError: A value or interval is no finite number, a fraction is outside 0 to 1, a rank is below 1, the ends of
            the interval are swapped, the unit is unknown, or the count of queries is none.
    """
    if metric.unit not in _RANGES:
        raise FicoError(f"the unit of {name} is {metric.unit!r}, expected {', '.join(_RANGES)}")
    if not _is_number(metric.queries) or metric.queries < 0 or metric.queries != int(metric.queries):
        raise FicoError(f"queries of {name} is {metric.queries!r}, expected a count")
    least, most, wanted = _RANGES[metric.unit]
    slack = 1e-9  # a mean of ones in floating point
    for part in ("value", "low", "high", "pessimistic", "optimistic"):
        number = getattr(metric, part)
        if number is None and part != "value":
            continue
        if not _is_number(number) or not least - slack <= number <= most + slack:
            raise FicoError(f"{part} of {name} is {number}, expected {wanted}")
    if metric.low is not None and metric.high is not None and metric.low > metric.high + slack:
        raise FicoError(f"the interval of {name} is {metric.low} to {metric.high}, expected its lower end first")


def _is_number(value: object) -> bool:
    """Whether it is a finite number, and neither text nor a truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_RANGES: dict[Unit, tuple[float, float, str]] = {
    "fraction": (0.0, 1.0, "a fraction from 0 to 1"),
    "sum": (0.0, math.inf, "a sum of fractions, from 0"),
    "rank": (1.0, math.inf, "a rank from 1"),
    "number": (-math.inf, math.inf, "a finite number"),
}
