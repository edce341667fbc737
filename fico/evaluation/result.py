"""What an evaluation returns: metrics with intervals, tie bounds, definitions and values per query."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64, Int64

from fico.evaluation.state import EvaluationState
from fico.metrics.hubness import Hubness
from fico.metrics.specification import DIRECTIONS, RetrievalMetric


@dataclass(frozen=True, slots=True, eq=False)
class PerQuery:
    """Values of single queries of one direction, in the order of their rows.

    Args:
        rows: Row of each query in its side (images for i2t, captions for t2i).
        images: Image row that each query belongs to; queries of one image are resampled together.
        ranks: Rank of the first relevant item at instance level, from 1, fractional under expected ties; NaN where
            the query has no relevant item, or none among those that a re-ranking scored, or the task was left out.
        average_precision: Category level, by cut-off (``"10"``, ``"100"``, ``"N"``): AP of each query, 0 to 1; NaN
            where the query is left out. Empty without labels.
        values: Every per-query metric by its name without direction (``"instance/R@1"``, ``"category/PR@0.5"``).
    """

    rows: Int64[np.ndarray, " queries"]
    images: Int64[np.ndarray, " queries"]
    ranks: Float64[np.ndarray, " queries"]
    average_precision: dict[str, Float64[np.ndarray, " queries"]]
    values: dict[str, Float64[np.ndarray, " queries"]]


@dataclass(frozen=True, slots=True, eq=False)
class RadiusCurve:
    """Precision and recall of all items within each Hamming radius; free of ties, because a radius takes whole blocks.

    Args:
        radius: 0 to ``bits``.
        precision: Mean over queries; a query that finds nothing within a radius counts 0 there.
        recall: Mean over queries; a query without any relevant item counts 0.
    """

    radius: Int64[np.ndarray, " radii"]
    precision: Float64[np.ndarray, " radii"]
    recall: Float64[np.ndarray, " radii"]


@dataclass(frozen=True, slots=True, eq=False)
class RetrievalResult:
    """All metrics of one evaluation. Keys read ``{task}/{direction}/{metric}``, as ``instance/i2t/R@1``.

    Args:
        metrics: Fractions 0 to 1; MedR and MeanR in items, from 1. What chance reaches is
            ``{task}/{direction}/chance/{metric}``. Those of both directions together have none: ``instance/RSUM``. A
            metric that does not apply is absent, and a note says why.
        intervals: 95 % bootstrap interval ``(low, high)`` of each metric; chance has no spread: ``(value, value)``.
            Empty under ``bootstrap=0``.
        queries: Number of queries that each metric is the mean or median of.
        definitions: One line per metric that says what was computed.
        tie_bounds: ``(pessimistic, optimistic)`` of each metric that tied scores affect: relevant items last or
            first in every tied block.
        notes: What a reader must know: empty queries, images without captions, metrics that do not apply.
        per_query: By direction; the source of intervals, paired tests and exports.
        curves: By ``category/{direction}``: precision and recall per Hamming radius, for codes with labels.
        hubness: By direction: how unevenly its items occur among the first 10; absent where a re-ranking scored fewer.
        state: Values that ``merge_results`` joins where several processes evaluated one shard each.
        described_by: The metric object behind each key, which has its unit and says which values are better.
    """

    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    queries: dict[str, int]
    definitions: dict[str, str]
    tie_bounds: dict[str, tuple[float, float]]
    notes: tuple[str, ...]
    per_query: dict[str, PerQuery]
    curves: dict[str, RadiusCurve] = field(default_factory=dict)
    hubness: dict[str, Hubness] = field(default_factory=dict)
    state: EvaluationState | None = field(default=None, repr=False)
    described_by: dict[str, RetrievalMetric] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        """A table of both directions: value, 95 % interval and chance of each metric, but the points of curves."""
        heading = "".join(f"{way:>8}{'95 % interval':>15}{'chance':>8}" for way in DIRECTIONS)
        rows = self._rows()
        width = max([17, *(len(f"{task} {name} ") for task, name in rows)])
        lines = [f"{'':<{width}}{heading}"]
        for task, name in rows:
            cells = "".join(self._cells(f"{task}/{way}", name) for way in DIRECTIONS)
            lines.append(f"{f'{task} {name}':<{width}}{cells}".rstrip())
        lines += [self._both(key) for key in self.metrics if key.count("/") == 1]
        lines += [f"hubness {way}: {found}" for way, found in self.hubness.items()]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def _rows(self) -> list[tuple[str, str]]:
        """Task and name of each metric that either direction has."""
        keys = (key.split("/") for key in self.metrics if "/chance/" not in key and "/PR@" not in key)
        return list(dict.fromkeys((parts[0], parts[-1]) for parts in keys if len(parts) == 3))

    def _both(self, key: str) -> str:
        task, name = key.split("/")
        return f"{f'{task} {name}':<17}{self._cells(task, name)}  (both directions)"

    def _cells(self, where: str, name: str) -> str:
        key = f"{where}/{name}"
        if key not in self.metrics:
            return f"{'-':>8}{'':>23}"
        digits = 1 if key in self.described_by and self.described_by[key].unit == "rank" else 4
        interval = self.intervals.get(key)
        span = "" if interval is None else "-".join(f"{end:.{min(digits, 3)}f}" for end in interval)
        chance = self.metrics.get(f"{where}/chance/{name}")
        level = "-" if chance is None else f"{chance:.{digits}f}"
        return f"{self.metrics[key]:>8.{digits}f}{span:>15}{level:>8}"
