"""Values per query as columns: which metrics share one, and which of them the engines compute together."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import get_args

import numpy as np

from fico.metrics.at_all_relevant import AveragePrecisionAtR, RPrecision
from fico.metrics.average_precision import AveragePrecision
from fico.metrics.metric import PerQueryMetric
from fico.metrics.ndcg import NDCG
from fico.metrics.precision_recall import RECALL_LEVELS, InterpolatedPrecision
from fico.metrics.rank import MRR, MeanR, MedR
from fico.metrics.recall import Recall
from fico.metrics.specification import Denominator, Median, RecallKind, RetrievalMetric, kind_of

_AT_R = (AveragePrecisionAtR(), RPrecision())
RANK = "rank"  # of the first relevant item; at instance level always there


@dataclass(frozen=True, slots=True)
class FusedColumns:
    """What the engines compute in one pass over a ranking, whether all of it is listed or not.

    Args:
        recall_at: Cut-offs of R@K at instance level, ascending.
        recall: Kind of R@K.
        map_at: Cut-offs of AP@K at category level, ascending.
        ap: Denominator of AP@K.
        at_r: Whether AP@R and R-Precision are among the instance metrics.
    """

    recall_at: tuple[int, ...]
    recall: RecallKind
    map_at: tuple[int, ...]
    ap: Denominator
    at_r: bool = False

    @classmethod
    def of(cls, metrics: Sequence[RetrievalMetric]) -> "FusedColumns":
        """Cut-offs and kinds of the metrics; a second kind in one list is computed apart."""
        recalls = [metric for metric in metrics if type(metric) is Recall and metric.task == "instance"]
        precisions = [metric for metric in metrics if type(metric) is AveragePrecision and metric.task == "category"]
        recall: RecallKind = recalls[0].recall if recalls else "any"
        ap: Denominator = next((metric.denominator for metric in precisions if metric.k is not None), "hits")
        return cls(
            tuple(sorted(metric.k for metric in recalls if metric.recall == recall)),
            recall,
            tuple(sorted(metric.k for metric in precisions if metric.k is not None and metric.denominator == ap)),
            ap,
            any(metric in _AT_R for metric in metrics),
        )

    def metrics(self, task: str) -> list[tuple[PerQueryMetric, ...]]:
        """Metrics that each column serves, in the order in which the engines fill them."""
        if task != "category":
            ranks = (MeanR(), *(MedR(median=median) for median in get_args(Median)))
            return [*((Recall(k, self.recall),) for k in self.recall_at), ranks, (MRR(),), (NDCG(10, "instance"),),
                    *((metric,) for metric in _AT_R if self.at_r)]  # fmt: skip
        return [
            *((AveragePrecision(k, self.ap),) for k in self.map_at),
            tuple(AveragePrecision(None, denominator) for denominator in get_args(Denominator)),
            *((InterpolatedPrecision(level),) for level in RECALL_LEVELS),
            (NDCG(10, "category"),),
        ]

    def count(self, task: str) -> int:
        """Number of columns."""
        if task == "category":
            return len(self.map_at) + 2 + len(RECALL_LEVELS)
        return len(self.recall_at) + 3 + len(_AT_R) * self.at_r


@lru_cache(maxsize=32)
def task_columns(listed: tuple[RetrievalMetric, ...], task: str) -> "TaskColumns":
    """The columns of one task, which every part of an evaluation asks for."""
    return TaskColumns(listed, task)


class TaskColumns:
    """The columns of one task: those that the engines compute together, and the others by their metrics' formulas.

    Args:
        listed: Metrics of all tasks.
        task: Which task; further positives have the metrics of ``instance``.
    """

    def __init__(self, listed: Sequence[RetrievalMetric], task: str) -> None:
        self.metrics = tuple(m for m in listed if isinstance(m, PerQueryMetric) and m.task == kind_of(task))
        """Metrics in the order of results."""
        self.fused = FusedColumns.of(listed)
        """What the engines compute together."""
        columns = self.fused.metrics(task)
        places = {metric: place for place, serves in enumerate(columns) for metric in serves}
        found: dict[str, int] = {}
        apart: dict[str, PerQueryMetric] = {}
        for metric in self.metrics:
            if metric.column not in found:
                found[metric.column] = places.get(metric, -1)
                if metric not in places:
                    apart[metric.column] = metric
        if task != "category":
            found.setdefault(RANK, places[MeanR()])
        self.others = tuple(metric for metric in apart.values() if not metric.label_distances)
        """Metrics whose column the engines compute by `PerQueryMetric.per_query`."""
        self.by_distance = tuple(metric for metric in apart.values() if metric.label_distances)
        """Metrics whose relevance is a distance of labels: a column each, then their levels of chance."""
        extra = [*(metric.column for metric in (*self.others, *self.by_distance)), *map(_chance, self.by_distance)]
        found |= {name: len(columns) + n for n, name in enumerate(extra)}
        self.metric_columns = tuple(list(found).index(metric.column) for metric in self.metrics)
        """Column of each metric."""
        self.medians = tuple(
            dict.fromkeys(c for m, c in zip(self.metrics, self.metric_columns, strict=True) if m.summary == "median")
        )
        """Columns of which some metric is the median."""
        self.names = tuple(found)
        """Names of the columns; those of chance belong to no metric, so that no file shows them."""
        self.extra = len(extra)
        """Number of columns that are computed apart."""
        self._places = list(found.values())
        self._are_all = self._places == list(range(len(columns)))

    def served(self, column: int) -> list[str]:
        """Names of the metrics that summarise a column."""
        return [m.name for m, c in zip(self.metrics, self.metric_columns, strict=True) if c == column]

    def chance_index(self, metric: PerQueryMetric) -> int:
        """Column of the level of chance of each query, which differs by query, of a metric of `by_distance`."""
        return self.names.index(_chance(metric))

    def select(self, fused: np.ndarray, others: np.ndarray | None) -> np.ndarray:
        """The listed columns.

        Args:
            fused: ``... columns``, as the engines fill them.
            others: ``... columns`` that are computed apart; None where there are none.
        """
        if self._are_all:
            return fused
        joined = fused if others is None else np.concatenate([fused, others], axis=-1)
        return np.ascontiguousarray(joined[..., self._places])


def _chance(metric: PerQueryMetric) -> str:
    return f"chance/{metric.column}"
