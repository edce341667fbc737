"""Precision at a cut-off, over eleven levels of recall, and within every Hamming radius."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fico.metrics.base import MeanOverQueries
from fico.metrics.specification import Empty, Ties
from fico.metrics.ties import TiedRanking, check_cut, rank_blocks


def precision_at_k(
    scores: Float[Tensor, "queries items"],
    relevant: Bool[Tensor, "queries items"],
    k: int,
    *,
    ties: Ties = "expected",
) -> Float[Tensor, " queries"]:
    """Relevant items among the first ``k``, divided by k, also where the gallery is smaller (as TREC does).

    Raises:
        ValueError: ``k`` is below 1, or ``ties`` is unknown.
    """
    check_cut(k)
    return rank_blocks(scores, relevant, ties).relevance[:, :k].sum(dim=1) / k


def interpolated_precision(
    scores: Float[Tensor, "queries items"], relevant: Bool[Tensor, "queries items"], *, ties: Ties = "expected"
) -> Float[Tensor, "queries 11"]:
    """Highest precision at or beyond recall 0, 0.1, ..., 1 of each query.

    Recall r is reached at the int(r R + 0.9)-th relevant item, in double arithmetic: trec_eval's cut-off, which for
    some R (57 at 0.3) is one less than the exact ceiling. Under expected ties this is the precision of the mean
    ranking: along a tied block the mean number of hits rises evenly, and precision is read where it reaches the level
    and at every later end of a block. Without ties both agree with TREC.

    Returns:
        Fractions 0 to 1; 0 for a query without relevant item.

    Raises:
        ValueError: ``ties`` is unknown.

    Source:
        trec_eval, m_iprec_at_recall.c.
    """
    return precision_of_ranking(rank_blocks(scores, relevant, ties))


def precision_of_ranking(ranking: TiedRanking) -> Float[Tensor, "queries 11"]:
    """Interpolated precision of each ranking."""
    found, ends = ranking.before + ranking.relevant, ranking.above + ranking.tied
    later = (found.double() / ends).flip(1).cummax(1).values.flip(1)
    levels = torch.arange(11, device=found.device).double() / 10
    needed = (levels * ranking.all_relevant[:, None] + 0.9).floor().long()
    position = torch.searchsorted(found, needed).clamp(max=found.shape[1] - 1)
    above, tied, relevant, before = (
        part.gather(1, position) for part in (ranking.above, ranking.tied, ranking.relevant, ranking.before)
    )
    reached = above + (needed - before) * tied.double() / relevant.clamp(min=1)
    precision = torch.where(needed > 0, needed / reached.clamp(min=1), 0)
    return torch.where(ranking.all_relevant[:, None] > 0, later.gather(1, position).maximum(precision), 0)


def precision_recall_within_radius(
    distances: Int[Tensor, "queries items"], relevant: Bool[Tensor, "queries items"], bits: int
) -> tuple[Float[Tensor, "queries radii"], Float[Tensor, "queries radii"]]:
    """Precision and recall of the items within each Hamming radius 0 to ``bits``, per query; free of ties.

    Returns:
        Fractions 0 to 1. Precision is 0 where nothing lies within the radius, recall 0 without relevant items.

    Raises:
        ValueError: A distance lies outside 0 to ``bits``.
    """
    if distances.numel() and not 0 <= int(distances.min()) <= int(distances.max()) <= bits:
        raise ValueError(f"distances must lie between 0 and bits={bits}")
    size = (len(distances), bits + 1)
    seen, found = torch.zeros(2, *size, dtype=torch.float64, device=distances.device)
    seen.scatter_add_(1, distances.long(), torch.ones_like(distances, dtype=torch.float64))
    found.scatter_add_(1, distances.long(), relevant.double())
    seen, found = seen.cumsum(1), found.cumsum(1)
    return found / seen.clamp(min=1), found / found[:, -1:].clamp(min=1)


class PrecisionRecallCurve(MeanOverQueries):
    """Mean of ``interpolated_precision``: eleven values."""

    def per_query(
        self, scores: Float[Tensor, "queries items"], relevant: Bool[Tensor, "queries items"]
    ) -> Float[Tensor, "queries 11"]:
        """Eleven precisions of each query."""
        return interpolated_precision(scores, relevant, ties=self.ties)


class PrecisionAtK(MeanOverQueries):
    """Mean of ``precision_at_k``."""

    def __init__(self, k: int, ties: Ties = "expected", empty: Empty = "zero") -> None:
        super().__init__(ties, empty)
        check_cut(k)
        self.k = k

    def per_query(
        self, scores: Float[Tensor, "queries items"], relevant: Bool[Tensor, "queries items"]
    ) -> Float[Tensor, " queries"]:
        """Precision of each query."""
        return precision_at_k(scores, relevant, self.k, ties=self.ties)
