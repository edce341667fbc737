"""Average precision at a cut over three denominators, and over the whole ranking."""

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
        relevant: True where the item answers the query.
        k: Cut, from 1; None is the whole ranking, where the three denominators agree.
        denominator: ``hits``, the relevant items among the first k (the paper, hashing papers); ``min_k_r``, min(k, R);
            ``r``, all R relevant items (TREC). They differ by factors of ten and more, all under the name mAP@K.
        ties: Order of equal scores. ``expected`` is the exact mean over all orders of tied items.

    Returns:
        Fractions 0 to 1; 0 for a query that finds nothing.

    Raises:
        ValueError: ``k`` is below 1, or ``denominator`` or ``ties`` is unknown.
    """
    return ap_of_ranking(rank_blocks(scores, relevant, ties), k, denominator)


def ap_of_ranking(
    ranking: TiedRanking, k: int | None = None, denominator: Denominator = "hits"
) -> Float[Tensor, " queries"]:
    """AP of rankings that are already there; arguments as in ``average_precision``.

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
    wanted = ranking.relevant.clamp(max=cut) if denominator == "min_k_r" else ranking.relevant
    return precisions[:, :cut].sum(dim=1) / wanted.clamp(min=1)


def _mean_precisions(ranking: TiedRanking) -> Float[Tensor, "queries items"]:
    """Mean contribution of every place: share of right items times the hits up to it over its rank.

    Given a right item at a place, the other right items of the block lie evenly over its other places.
    """
    inside = ranking.places - ranking.above
    beside = (ranking.right - 1).double() / (ranking.tied - 1).clamp(min=1)
    return ranking.share * (ranking.before + 1 + inside * beside) / (ranking.places + 1)


def _over_found(
    ranking: TiedRanking, precisions: Float[Tensor, "queries items"], cut: int
) -> Float[Tensor, " queries"]:
    """Mean of the sum of precisions over the number of hits, both of which the cut block's order decides.

    The hits x among the ``inside`` places before the cut are hypergeometric; given x they lie evenly over them.
    """
    above, tied, right, hits = (
        part[:, cut - 1, None] for part in (ranking.above, ranking.tied, ranking.right, ranking.before)
    )
    inside = cut - above
    before = (precisions * (ranking.places < above)).sum(dim=1, keepdim=True)
    found = torch.arange(cut + 1, device=above.device)
    chance = (log_choose(right, found) + log_choose(tied - right, inside - found) - log_choose(tied, inside)).exp()
    step = (found - 1) / (inside - 1).clamp(min=1)
    inverse = torch.digamma((cut + 1.0) * torch.ones_like(above).double()) - torch.digamma(above.double() + 1)
    sums = found / inside * ((hits + 1 - step * (above + 1)) * inverse + step * inside)
    return (chance * (before + sums) / (hits + found).clamp(min=1)).sum(dim=1)


class MeanAveragePrecision(MeanOverQueries):
    """Mean of ``average_precision``; its arguments, and the rule for queries without relevant item."""

    def __init__(
        self,
        k: int | None = None,
        denominator: Denominator = "hits",
        ties: Ties = "expected",
        empty: Empty = "zero",
    ) -> None:
        super().__init__(empty=empty)
        if k is not None:
            check_cut(k)
        self.k = k
        self.denominator: Denominator = denominator
        self.ties: Ties = ties

    def per_query(
        self, scores: Float[Tensor, "queries items"], relevant: Bool[Tensor, "queries items"]
    ) -> Float[Tensor, " queries"]:
        """AP of each query."""
        return average_precision(scores, relevant, self.k, denominator=self.denominator, ties=self.ties)
