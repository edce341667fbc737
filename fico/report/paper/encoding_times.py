"""Encoding time over the number of items: measured sizes, and between and beyond them a fitted line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fico.report.results.schema import Results


@dataclass(frozen=True, slots=True)
class TimeOfSize:
    """Seconds of one size.

    Args:
        seconds: Of the network alone.
        fastest: Repeat; None where there is one, or none was measured.
        slowest: Repeat.
        is_measured: False where the fitted line gives them.
    """

    seconds: float
    fastest: float | None = None
    slowest: float | None = None
    is_measured: bool = True


@dataclass(frozen=True, slots=True)
class EncodingTimes:
    """Encoding times of one model.

    Args:
        measured: By number of images.
        start: Seconds that any size takes, of the fitted line.
        per_image: Seconds of an image with its captions.
        error: Largest relative difference of a measured size from the line; None with a single size, through which
            the line goes from zero.
    """

    measured: Mapping[int, TimeOfSize]
    start: float
    per_image: float
    error: float | None

    @classmethod
    def of(cls, runs: Sequence[Results]) -> "EncodingTimes":
        """Of runs that differ by their seed alone: medians over the seeds.

        The line has the least squares of relative differences, so that small sizes count as much as large ones, and
        starts at zero or above.
        """
        sizes: dict[int, list[Mapping[str, Any]]] = {}
        for run in runs:
            for row in run.efficiency.get("encoding") or _of_the_test(run):
                sizes.setdefault(row["images"], []).append(row)
        measured = {images: _median(sizes[images]) for images in sorted(sizes)}
        x = np.array(list(measured), dtype=float)
        y = np.array([time.seconds for time in measured.values()])
        start, per_image = relative_line(x, y)
        error = float(np.max(np.abs((start + per_image * x) / y - 1))) if len(x) > 1 else None
        return cls(measured, start, per_image, error)

    def at(self, images: int) -> TimeOfSize:
        """Seconds of that many images with their captions."""
        return self.measured.get(images) or TimeOfSize(self.start + self.per_image * images, is_measured=False)

    @property
    def images_per_second(self) -> float:
        """Of the largest measured size, each with its captions."""
        images = max(self.measured)
        return images / self.measured[images].seconds if self.measured[images].seconds else 0.0


def _of_the_test(run: Results) -> list[dict[str, Any]]:
    """The one pass of a test that measured no further sizes."""
    seconds = run.efficiency.get("encode_seconds")
    return [] if seconds is None else [{"images": run.data.images, "seconds": seconds}]


def _median(rows: Sequence[Mapping[str, Any]]) -> TimeOfSize:
    seconds = float(np.median([row["seconds"] for row in rows]))
    if len(rows) == 1 and rows[0].get("repeats", 1) == 1:
        return TimeOfSize(seconds)
    fastest = min(row.get("fastest_seconds", row["seconds"]) for row in rows)
    return TimeOfSize(seconds, fastest, max(row.get("slowest_seconds", row["seconds"]) for row in rows))


def relative_line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Start and slope of least relative squares, the start at least 0; a single size gives a line through zero.

    Args:
        x: Sizes, above 0.
        y: Seconds of each, above 0.
    """
    if len(x) > 1:
        (start, slope), *_ = np.linalg.lstsq(np.column_stack([1 / y, x / y]), np.ones_like(y), rcond=None)
        if start > 0 and slope > 0:
            return float(start), float(slope)
    return 0.0, float(y[0] / x[0]) if len(x) == 1 else float(np.sum(x / y) / np.sum((x / y) ** 2))
