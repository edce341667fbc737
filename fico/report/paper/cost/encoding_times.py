"""Encoding time over the number of items: measured sizes, and what their rates say of others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fico.report.paper.cost.growth import Growth, TimeOfSize
from fico.report.results.schema import Results


@dataclass(frozen=True, slots=True)
class EncodingTimes:
    """Encoding times of one model on one machine.

    Args:
        measured: By number of images, each with its captions.
    """

    measured: Mapping[int, TimeOfSize]

    @classmethod
    def of(cls, runs: Sequence[Results]) -> "EncodingTimes":
        """Of runs that differ by their seed alone: medians over the seeds."""
        rows = measured_rows(runs)
        for run in runs:  # the one pass of a test that measured no further sizes
            seconds = run.efficiency.get("encode_seconds")
            if not run.efficiency.get("encoding") and seconds is not None:
                rows.setdefault(run.data.images, []).append({"images": run.data.images, "seconds": seconds})
        return cls({images: _median(rows[images]) for images in sorted(rows)})

    def at(self, images: int) -> TimeOfSize:
        """Seconds of that many images with their captions."""
        return self.measured.get(images) or TimeOfSize(self._growth.at(images), is_measured=False)

    @property
    def error(self) -> float | None:
        """Of `Growth.error`."""
        return self._growth.error

    @property
    def images_per_second(self) -> float:
        """Of the largest measured size, each with its captions."""
        images = max(self.measured)
        return images / self.measured[images].seconds if self.measured[images].seconds else 0.0

    @property
    def _growth(self) -> Growth:
        return Growth({images: time.seconds for images, time in self.measured.items()})


def measured_rows(runs: Sequence[Results]) -> dict[int, list[Mapping[str, Any]]]:
    """Rows of ``efficiency.encoding`` of all runs by their number of images, the smallest first."""
    found: dict[int, list[Mapping[str, Any]]] = {}
    for run in runs:
        for row in run.efficiency.get("encoding") or ():
            found.setdefault(row["images"], []).append(row)
    return dict(sorted(found.items()))


def _median(rows: Sequence[Mapping[str, Any]]) -> TimeOfSize:
    seconds = float(np.median([row["seconds"] for row in rows]))
    if len(rows) == 1 and rows[0].get("repeats", 1) == 1:
        return TimeOfSize(seconds)
    fastest = min(row.get("fastest_seconds", row["seconds"]) for row in rows)
    return TimeOfSize(seconds, fastest, max(row.get("slowest_seconds", row["seconds"]) for row in rows))
