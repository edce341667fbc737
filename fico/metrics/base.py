"""Base of the torchmetrics objects: sums over queries that reduce over processes, and the rule for empty queries."""

from typing import get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torchmetrics import Metric

from fico.errors import DataError
from fico.metrics.metric import PerQueryMetric
from fico.metrics.specification import Empty, Ties
from fico.metrics.ties import rank_blocks


class MeanOverQueries(Metric):
    """Mean of a value per query, updated by blocks of queries; a sum and a count, exact under any split.

    Args:
        metric: Gives the values.
        ties: Tie rule.
        empty: Queries without a relevant item count ``zero``, are left out (``skip``) or are an ``error``.

    Raises:
        ValueError: ``empty`` is unknown.
    """

    full_state_update = False
    total: Tensor
    queries: Tensor

    def __init__(self, metric: PerQueryMetric, ties: Ties = "expected", empty: Empty = "zero") -> None:
        super().__init__()
        if empty not in get_args(Empty):
            raise ValueError(f"empty must be one of {get_args(Empty)}, got {empty!r}")
        self.metric = metric
        self.ties: Ties = ties
        self.empty: Empty = empty
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("queries", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def per_query(
        self, scores: Float[Tensor, "queries items"], relevant: Bool[Tensor, "queries items"]
    ) -> Float[Tensor, "queries ..."]:
        """Value of each query."""
        return self.metric.per_query(rank_blocks(scores, relevant, self.ties))

    @property
    def higher_is_better(self) -> bool:  # type: ignore[override]
        """As the metric says."""
        return self.metric.higher_is_better

    def update(self, scores: Float[Tensor, "queries items"], relevant: Bool[Tensor, "queries items"]) -> None:
        """Adds a block of queries.

        Raises:
            DataError: A query has no relevant item, under ``empty="error"``.
        """
        answered = answered_queries(relevant, self.empty)
        values = self.per_query(scores[answered], relevant[answered])
        self.total = self.total + values.sum(dim=0)
        self.queries = self.queries + len(values)

    def compute(self) -> Float[Tensor, "..."]:
        """Mean over all queries of all blocks and processes; NaN without any."""
        return self.total / self.queries


def answered_queries(relevant: Bool[Tensor, "queries items"], empty: Empty) -> Bool[Tensor, " queries"]:
    """Queries that count under the rule for queries without a relevant item.

    Raises:
        DataError: There is such a query, under ``empty="error"``.
    """
    answered = relevant.any(dim=1)
    if empty == "zero":
        return torch.ones_like(answered)
    if empty == "error" and not answered.all():
        raise DataError(
            f"query {int((~answered).nonzero()[0])} of the block has no relevant item; "
            "leave it out, or choose empty='zero' or 'skip'"
        )
    return answered
