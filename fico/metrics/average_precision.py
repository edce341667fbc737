"""Average precision at a cut-off over three denominators, and over the whole ranking."""

from typing import get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fico.metrics.base import MeanOverQueries
from fico.metrics.specification import Denominator, Empty, Ties
from fico.metrics.ties import TiedRanking, check_cut, log_choose, rank_blocks


def average_precision(
    scores: Float[Tensor, "queries items"],
    relevant: Bool[Tensor, "queries items"],
    k: int | None = None,
    *,
    denominator: Denominator = "hits",
    ties: Ties = "expected",
) -> Float[Tensor, " queries"]:
    """Sum of the precisions at the relevant items among the first ``k``, divided by one of three counts.

    Args:
        scores: Higher is nearer.
        relevant: True where the item is relevant to the query.
        k: Cut-off, from 1; None is the whole ranking, where the three denominators agree.
        denominator: ``hits``, the relevant items among the first k (the paper, hashing papers); ``min_k_r``, min(k, R);
            ``r``, all R relevant items (TREC). They differ by factors of ten and more, all under the name mAP@K.
        ties: Tie rule; ``expected`` is the exact mean over all orders of tied items.

    Returns:
        Fractions 0 to 1; 0 for a query that finds nothing.

    Raises:
        ValueError: ``k`` is below 1, or ``denominator`` or ``ties`` is unknown.
    """
    return ap_of_ranking(rank_blocks(scores, relevant, ties), k, denominator)


def ap_of_ranking(
    ranking: TiedRanking, k: int | None = None, denominator: Denominator = "hits"
) -> Float[Tensor, " queries"]:
    """AP of each ranking; arguments as in ``average_precision``.

    Raises:
        ValueError: ``k`` is below 1, or ``denominator`` is unknown.
    """
    if denominator not in get_args(Denominator):
        raise ValueError(f"denominator must be one of {get_args(Denominator)}, got {denominator!r}")
    if k is not None:
        check_cut(k)
    items = ranking.above.shape[1]
    cut = items if k is None else min(k, items)
    precisions = _mean_precisions(ranking)
    if denominator == "hits" and cut < items:
        return _over_found(ranking, precisions, cut)
    wanted = ranking.all_relevant.clamp(max=cut) if denominator == "min_k_r" else ranking.all_relevant
    return precisions[:, :cut].sum(dim=1) / wanted.clamp(min=1)


def _mean_precisions(ranking: TiedRanking) -> Float[Tensor, "queries items"]:
    """Mean contribution of every position: the probability of a hit times the mean precision there.

    Given a relevant item at a position, the other relevant items of the block lie evenly over its other positions.
    """
    inside = ranking.positions - ranking.above
    density = (ranking.relevant - 1).double() / (ranking.tied - 1).clamp(min=1)
    return ranking.relevance * (ranking.before + 1 + inside * density) / (ranking.positions + 1)


def _over_found(
    ranking: TiedRanking, precisions: Float[Tensor, "queries items"], cut: int
) -> Float[Tensor, " queries"]:
    """Mean of (sum of precisions / hits), both of which depend on the order of the block at the cut-off.

    The hits x among the ``inside`` positions before the cut-off are hypergeometric; given x they lie evenly over them.
    """
    above, tied, relevant, hits = (
        part[:, cut - 1, None] for part in (ranking.above, ranking.tied, ranking.relevant, ranking.before)
    )
    inside = cut - above
    before = (precisions * (ranking.positions < above)).sum(dim=1, keepdim=True)
    found = torch.arange(cut + 1, dtype=torch.float64, device=above.device)  # torch divides integers in float32
    probability = log_choose(relevant, found) + log_choose(tied - relevant, inside - found) - log_choose(tied, inside)
    step = (found - 1) / (inside - 1).clamp(min=1)
    inverse = torch.digamma((cut + 1.0) * torch.ones_like(above).double()) - torch.digamma(above.double() + 1)
    sums = found / inside * ((hits + 1 - step * (above + 1)) * inverse + step * inside)
    return (probability.exp() * (before + sums) / (hits + found).clamp(min=1)).sum(dim=1)


class MeanAveragePrecision(MeanOverQueries):
    """Mean of ``average_precision``; its arguments, and the rule for queries without relevant item."""

    def __init__(
        self,
        k: int | None = None,
        denominator: Denominator = "hits",
        ties: Ties = "expected",
        empty: Empty = "zero",
    ) -> None:
        super().__init__(ties, empty)
        if k is not None:
            check_cut(k)
        self.k = k
        self.denominator: Denominator = denominator

    def per_query(
        self, scores: Float[Tensor, "queries items"], relevant: Bool[Tensor, "queries items"]
    ) -> Float[Tensor, " queries"]:
        """AP of each query."""
        return average_precision(scores, relevant, self.k, denominator=self.denominator, ties=self.ties)
