"""mAP@R and R-Precision: the cut-off of a query is the number R of its relevant items."""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from fico.metrics.average_precision import precision_sums
from fico.metrics.metric import PerQueryMetric
from fico.metrics.specification import Task, Ties
from fico.metrics.ties import TiedBlocks, rank_blocks


def average_precision_at_r(
    scores: Float[Tensor, "queries items"], relevant: Bool[Tensor, "queries items"], *, ties: Ties = "expected"
) -> Float[Tensor, " queries"]:
    """Sum of the precisions at the relevant items among the first R, divided by R, the number of relevant items.

    Args:
        scores: Higher is nearer.
        relevant: True where the item is relevant to the query.
        ties: Tie rule; ``expected`` is the exact mean over all orders of tied items.

    Returns:
        Fractions 0 to 1; 1 if the relevant items are the first R, 0 for a query without relevant item.

    Raises:
        ValueError: ``ties`` is unknown.

    Source:
        Musgrave et al., ECCV 2020, arXiv 2003.08505.
    """
    return ap_at_r_of_ranking(rank_blocks(scores, relevant, ties))


def r_precision(
    scores: Float[Tensor, "queries items"], relevant: Bool[Tensor, "queries items"], *, ties: Ties = "expected"
) -> Float[Tensor, " queries"]:
    """Fraction of relevant items among the first R, the number of relevant items; as `average_precision_at_r`.

    Returns:
        Fractions 0 to 1; 0 for a query without relevant item.

    Raises:
        ValueError: ``ties`` is unknown.
    """
    return r_precision_of_ranking(rank_blocks(scores, relevant, ties))


def ap_at_r_of_ranking(ranking: TiedBlocks) -> Float[Tensor, " queries"]:
    """AP@R of each ranking."""
    blocks, positions = _first_r(ranking)
    return blocks.total(precision_sums(blocks, positions)) / ranking.all_relevant.clamp(min=1)


def r_precision_of_ranking(ranking: TiedBlocks) -> Float[Tensor, " queries"]:
    """R-Precision of each ranking."""
    blocks, positions = _first_r(ranking)
    return blocks.total(blocks.relevant.double() * positions / blocks.tied) / ranking.all_relevant.clamp(min=1)


def _first_r(ranking: TiedBlocks) -> tuple[TiedBlocks, Tensor]:
    """Blocks that begin among the first R items of their query, and how many of their items lie there."""
    blocks = ranking.where(ranking.above < ranking.all_relevant[ranking.query])
    return blocks, (blocks.all_relevant[blocks.query] - blocks.above).minimum(blocks.tied)


@dataclass(frozen=True, slots=True)
class AveragePrecisionAtR(PerQueryMetric):
    """AP@R, whose mean is mAP@R.

    Args:
        task: Which items are relevant.

    Example:
        >>> import torch
        >>> metric = AveragePrecisionAtR().torchmetric()
        >>> metric.update(torch.tensor([[0.9, 0.1, 0.5]]), torch.tensor([[True, True, False]]))
        >>> float(metric.compute())  # 1/1 of the first two
        0.5
    """

    task: Task = "instance"

    name = "mAP@R"

    def per_query(self, ranking: TiedBlocks) -> Float[Tensor, " queries"]:
        return ap_at_r_of_ranking(ranking)

    def definition(self) -> str:
        return "mean average precision of the first R, the number of relevant items of the query, divided by R"


@dataclass(frozen=True, slots=True)
class RPrecision(PerQueryMetric):
    """R-Precision.

    Args:
        task: Which items are relevant.

    Example:
        >>> import torch
        >>> metric = RPrecision().torchmetric()
        >>> metric.update(torch.tensor([[0.9, 0.1, 0.5]]), torch.tensor([[True, True, False]]))
        >>> float(metric.compute())
        0.5
    """

    task: Task = "instance"

    name = "R-Precision"

    def per_query(self, ranking: TiedBlocks) -> Float[Tensor, " queries"]:
        return r_precision_of_ranking(ranking)

    def definition(self) -> str:
        return "mean fraction of relevant items among the first R, the number of relevant items of the query"
