"""What a metric object says of itself: its values per query, their summary, and how a reader must take the number.

A metric is a small frozen dataclass. `PerQueryMetric` is the common kind: a value for each query, in closed form from
the tied blocks of its ranking, then the mean. `BothDirectionsMetric` is computed from such metrics of both directions.
Whatever lists one (``fico.evaluate(metrics=...)`` or a YAML of ``conf/metric``) has it in results, intervals, tie
bounds, files and tables.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64, Shaped
from torch import Tensor

from fico.metrics.specification import Direction, Empty, RetrievalMetric, Ties
from fico.metrics.ties import TiedBlocks, rank_blocks

if TYPE_CHECKING:
    from fico.metrics.over_queries import OverQueries

Summary = Literal["mean", "median"]


class PerQueryMetric(RetrievalMetric):
    """A metric that has a value for each query.

    Attributes:
        summary: What is reported of the values of all queries: their ``mean`` or ``median``.
        label_distances: Not empty where relevance is not that of the task: items are relevant whose labels differ from
            the query's in at most so many classes, and the value is the mean over the numbers. Such a metric of the
            category task may depend on the first R items alone, R being the number of relevant ones: `per_query` gets
            no more of the ranking (`fico.metrics.plausible_match.blocks_of_first_r`).
        depth: How many items of a ranking it depends on; None for all. A re-ranking orders no more than its candidates,
            so beyond them the metric is left out.
    """

    __slots__ = ()

    summary: Summary = "mean"

    @property
    def label_distances(self) -> tuple[int, ...]:
        """See the class."""
        return ()

    @property
    def column(self) -> str:
        """Name of its values per query; metrics of one task that share it share the values."""
        return self.name

    @property
    def depth(self) -> int | None:
        """See the class."""
        return None

    @abstractmethod
    def per_query(self, ranking: TiedBlocks) -> Float[Tensor, " queries"]:
        """Value of each query: the exact mean over all orders of the items of equal score.

        Blocks without non-relevant items are free of ties, so that the same formula serves every tie rule and gives the
        tie bounds. What a query without relevant item gets here counts at category level alone, under ``empty="zero"``.
        """

    def of_scores(
        self, scores: Float[Tensor, "queries items"], relevant: Shaped[Tensor, "queries items"], ties: Ties
    ) -> Float[Tensor, " queries"]:
        """Value of each query from its scores."""
        return self.per_query(rank_blocks(scores, relevant, ties))

    def torchmetric(self, ties: Ties = "expected", empty: Empty | None = None) -> "OverQueries":
        """The metric as a `torchmetrics.Metric` for loops of your own, updated with scores and relevance of queries.

        Args:
            ties: Tie rule.
            empty: Queries without a relevant item count ``zero``, are left out (``skip``) or are an ``error``; by
                default as in results, left out at instance level and zero at category level.
        """
        # an evaluation does without torchmetrics, whose import takes seconds
        from fico.metrics.over_queries import MeanOverQueries, MedianOverQueries

        kind = MeanOverQueries if self.summary == "mean" else MedianOverQueries
        return kind(self, ties, empty or ("skip" if self.task == "instance" else "zero"))

    def finish(self, summaries: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
        """Reported value from the mean or median; also of every bootstrap resample."""
        return summaries

    def is_determined(self, scored: int, ranks: Shaped[np.ndarray, " queries"] | None) -> bool:
        """Whether rankings determine the value in which no order is known behind the first ``scored`` items.

        Args:
            scored: Fewest items of a query that a re-ranking scored.
            ranks: Rank of the first relevant item of each query at instance level; one behind the scored items where
                none of them is relevant.
        """
        return self.depth is not None and self.depth <= scored

    def chance(self, relevant: Int64[np.ndarray, " n"], queries: Int64[np.ndarray, " n"], items: int) -> float | None:
        """Expected value for galleries in random order: that of a gallery which is one block of equal scores.

        Args:
            relevant: Distinct numbers of relevant items of a query.
            queries: How many queries have each of them.
            items: Size of the gallery.

        Returns:
            None where the level is not known, as for medians; results then give none.
        """
        if self.summary != "mean":
            return None
        values = self.per_query(random_ranking(relevant, items)).double().numpy()
        return float(self.finish(np.asarray(values @ queries / queries.sum())))


class BothDirectionsMetric(RetrievalMetric):
    """A metric of both directions together, computed from those of each; its key has none: ``instance/RSUM``."""

    __slots__ = ()

    @property
    @abstractmethod
    def parts(self) -> tuple[str, ...]:
        """Names of the metrics of its task that it is computed from, in both directions."""

    @abstractmethod
    def combine(
        self, values: Mapping[Direction, Mapping[str, Float64[np.ndarray, "..."]]]
    ) -> Float64[np.ndarray, "..."]:
        """Value from those of the parts, by direction and name.

        Called with single values, with those of the tie bounds, with levels of chance, and with one value for each
        bootstrap resample; the resamples of both directions are drawn together.
        """


def random_ranking(relevant: Int64[np.ndarray, " queries"], items: int) -> TiedBlocks:
    """Rankings in which all items tie, of which any metric gives its mean over every order of the gallery."""
    counts = torch.from_numpy(np.asarray(relevant, dtype=np.int64))
    hits = counts[counts > 0]
    offsets = torch.nn.functional.pad((counts > 0).long().cumsum(0), (1, 0))
    none = torch.zeros_like(hits)
    return TiedBlocks(offsets, none, torch.full_like(hits, items), hits, none, counts, items)
