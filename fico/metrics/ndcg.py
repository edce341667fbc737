"""Normalised discounted cumulative gain with gains 0 and 1."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fico.metrics.metric import PerQueryMetric
from fico.metrics.specification import Task, Ties
from fico.metrics.ties import TiedBlocks, check_cut, rank_blocks


def ndcg_at_k(
    scores: Float[Tensor, "queries items"],
    relevant: Bool[Tensor, "queries items"],
    k: int = 10,
    *,
    ties: Ties = "expected",
) -> Float[Tensor, " queries"]:
    """Sum of 1 / log2(1 + rank) over the relevant items among the first ``k``, divided by its largest value.

    Returns:
        Fractions 0 to 1; 0 for a query without relevant item.

    Raises:
        ValueError: ``k`` is below 1, or ``ties`` is unknown.
    """
    check_cut(k)
    return ndcg_of_ranking(rank_blocks(scores, relevant, ties), k)


def ndcg_of_ranking(ranking: TiedBlocks, k: int) -> Float[Tensor, " queries"]:
    """NDCG of each ranking."""
    last = min(k, ranking.items)
    ranks = torch.arange(1, last + 1, dtype=torch.float64, device=ranking.above.device)
    discounts = torch.nn.functional.pad((1 / torch.log2(1 + ranks)).cumsum(0), (1, 0))  # of the first n ranks
    blocks = ranking.until(last)
    weights = discounts[(blocks.above + blocks.tied).clamp(max=last)] - discounts[blocks.above]
    return blocks.total(blocks.relevant * weights / blocks.tied) / discounts[ranking.all_relevant.clamp(1, last)]


@dataclass(frozen=True, slots=True)
class NDCG(PerQueryMetric):
    """nDCG@K.

    Args:
        k: Cut-off, from 1.
        task: Which items are relevant.

    Raises:
        ValueError: ``k`` is below 1.

    Example:
        >>> import torch
        >>> metric = NDCG(2).torchmetric()
        >>> metric.update(torch.tensor([[0.9, 0.1, 0.5]]), torch.tensor([[True, False, False]]))
        >>> float(metric.compute())
        1.0
    """

    k: int = 10
    task: Task = "category"

    def __post_init__(self) -> None:
        check_cut(self.k)

    @property
    def name(self) -> str:
        return f"nDCG@{self.k}"

    @property
    def depth(self) -> int:
        return self.k

    def per_query(self, ranking: TiedBlocks) -> Float[Tensor, " queries"]:
        return ndcg_of_ranking(ranking, self.k)

    def definition(self) -> str:
        return f"normalised discounted cumulative gain of the first {self.k}, gain 1 for a relevant item"
