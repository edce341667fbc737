"""How cost grows with the work: sizes that were measured, and what their rates say of others."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class TimeOfSize:
    """Seconds of one size.

    Args:
        seconds: Median of its repeats and seeds.
        fastest: Repeat; None where there is one, or none was measured.
        slowest: Repeat.
        is_measured: False where the rate of a measured size gives them.
    """

    seconds: float
    fastest: float | None = None
    slowest: float | None = None
    is_measured: bool = True


@dataclass(frozen=True, slots=True)
class Growth:
    """Seconds that some amounts of work took, such as images to encode or pairs to score.

    Args:
        seconds: By amount of work, each above 0; at least one.
    """

    seconds: Mapping[float, float]

    def at(self, work: float) -> float:
        """Seconds of any amount: as measured, linear between two measured ones, beyond them at the rate of the next.

        A rate lies nowhere above the highest measured one, so that no time is below what that rate says.
        """
        known = sorted(self.seconds)
        if known[0] < work < known[-1]:
            return float(np.interp(work, known, [self.seconds[each] for each in known]))
        nearest = known[0] if work <= known[0] else known[-1]
        return self.seconds[nearest] * (work / nearest)

    @property
    def error(self) -> float | None:
        """What the rate of the other sizes' largest says of the largest, relative to its time: -0.1 is 10 % too low.

        None for a single size.
        """
        *others, largest = sorted(self.seconds)
        if not others or not self.seconds[largest]:
            return None
        return self.seconds[others[-1]] * (largest / others[-1]) / self.seconds[largest] - 1


def fitted_exponent(counts: Sequence[int], seconds: Sequence[float]) -> float:
    """Slope of log seconds over log count by least squares: 2 where cost grows with the square.

    Args:
        counts: Images, at least two different numbers; captions grow alike.
        seconds: Cost at each.

    Returns:
        The exponent; NaN for a single count.
    """
    if len(set(counts)) < 2:
        return math.nan
    x, y = [math.log(count) for count in counts], [math.log(second) for second in seconds]
    x_mean, y_mean = sum(x) / len(x), sum(y) / len(y)
    along = sum((a - x_mean) * (b - y_mean) for a, b in zip(x, y, strict=True))
    return along / sum((a - x_mean) ** 2 for a in x)
