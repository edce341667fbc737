"""The torchmetrics objects of a metric: states that reduce over processes, and the rule for empty queries."""

from abc import abstractmethod
from typing import get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from fico.errors import DataError
from fico.metrics.metric import PerQueryMetric
from fico.metrics.specification import Empty, Ties


class OverQueries(Metric):
    """Summary of a value per query, updated by blocks of queries; exact under any split of them.

    Args:
        metric: Gives the values.
        ties: Tie rule.
        empty: Queries without a relevant item count ``zero``, are left out (``skip``) or are an ``error``.

    Raises:
        ValueError: ``empty`` is unknown.
    """

    full_state_update = False

    def __init__(self, metric: PerQueryMetric, ties: Ties, empty: Empty) -> None:
        super().__init__()
        if empty not in get_args(Empty):
            raise ValueError(f"empty must be one of {get_args(Empty)}, got {empty!r}")
        self.metric = metric
        self.ties: Ties = ties
        self.empty: Empty = empty

    @property
    def higher_is_better(self) -> bool:  # type: ignore[override]
        """As the metric says."""
        return self.metric.higher_is_better

    def update(self, scores: Float[Tensor, "queries items"], relevant: Shaped[Tensor, "queries items"]) -> None:
        """Adds a block of queries.

        Raises:
            DataError: A query has no relevant item, under ``empty="error"``.
        """
        answered = answered_queries(relevant, self.empty)
        self.add(self.metric.of_scores(scores[answered], relevant[answered], self.ties))

    @abstractmethod
    def add(self, values: Float[Tensor, " queries"]) -> None:
        """Adds the values of some queries to the states."""

    def reported(self, summary: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """What the metric makes of the mean or median."""
        found = np.asarray(self.metric.finish(summary.cpu().numpy()))
        return torch.from_numpy(found).to(summary.device)


class MeanOverQueries(OverQueries):
    """Mean of a value per query: a sum and a count; its arguments are those of `OverQueries`."""

    total: Tensor
    queries: Tensor

    def __init__(self, metric: PerQueryMetric, ties: Ties, empty: Empty) -> None:
        super().__init__(metric, ties, empty)
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("queries", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def add(self, values: Float[Tensor, " queries"]) -> None:
        """Adds the values of some queries to the states."""
        self.total = self.total + values.sum()
        self.queries = self.queries + len(values)

    def compute(self) -> Float[Tensor, ""]:
        """Mean over all queries of all blocks and processes; NaN without any."""
        return self.reported(self.total / self.queries)


class MedianOverQueries(OverQueries):
    """Median of a value per query, which keeps all of them; its arguments are those of `OverQueries`."""

    values: list[Tensor]

    def __init__(self, metric: PerQueryMetric, ties: Ties, empty: Empty) -> None:
        super().__init__(metric, ties, empty)
        self.add_state("values", [], dist_reduce_fx="cat")

    def add(self, values: Float[Tensor, " queries"]) -> None:
        """Keeps the values of some queries."""
        self.values.append(values)

    def compute(self) -> Float[Tensor, ""]:
        """Median over all queries of all blocks and processes; the mean of the middle two if their number is even."""
        return self.reported(dim_zero_cat(self.values).double().quantile(0.5))


def answered_queries(relevant: Shaped[Tensor, "queries items"], empty: Empty) -> Bool[Tensor, " queries"]:
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
