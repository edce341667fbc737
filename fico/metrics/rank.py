"""Rank of the first relevant item, and its median, mean and mean reciprocal over queries."""

from typing import get_args

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from fico.metrics.base import MeanOverQueries
from fico.metrics.specification import Median, Ties
from fico.metrics.ties import CHUNK, refuse_nan


def first_hits(
    scores: Float[Tensor, "queries items"], relevant: Bool[Tensor, "queries items"], ties: Ties = "expected"
) -> tuple[Int64[Tensor, " queries"], Int64[Tensor, " queries"], Int64[Tensor, " queries"]]:
    """Items above the first relevant one, and the non-relevant and relevant items of its tied block under ``ties``.

    Counts, so nothing is sorted. Under any rule but ``expected`` the block is the relevant item alone.

    Raises:
        ValueError: A query has no relevant item or NaN among its scores (its row is named), or ``ties`` is unknown.
    """
    if ties not in get_args(Ties):
        raise ValueError(f"ties must be one of {get_args(Ties)}, got {ties!r}")
    refuse_nan(scores)
    unanswered = ~relevant.any(dim=1)
    if unanswered.any():
        raise ValueError(
            f"query {int(unanswered.nonzero()[0])} has no relevant item among {relevant.shape[1]}; "
            "leave such queries out of the task before ranking"
        )
    lowest = scores.masked_fill(~relevant, -torch.inf)
    best = lowest.amax(dim=1, keepdim=True)
    above, tied = (scores > best).sum(dim=1), scores == best
    others, hits = (tied & ~relevant).sum(dim=1), (tied & relevant).sum(dim=1)
    if ties == "expected":
        return above, others, hits
    if ties == "index":
        first = (tied & relevant).long().argmax(dim=1, keepdim=True)
        positions = torch.arange(scores.shape[1], device=scores.device)
        extra = (tied & ~relevant & (positions < first)).sum(dim=1)
    else:
        extra = others if ties == "pessimistic" else torch.zeros_like(others)
    return above + extra, torch.zeros_like(others), torch.ones_like(hits)


def first_hit_ranks(
    scores: Float[Tensor, "queries items"], relevant: Bool[Tensor, "queries items"], *, ties: Ties = "expected"
) -> Float[Tensor, " queries"]:
    r"""Rank of the first relevant item of each query, from 1.

    With ``a`` items scored above the best relevant one, and ``n`` non-relevant and ``r`` relevant items of equal score,
    it is ``1 + a`` (optimistic), ``1 + a + n`` (pessimistic) or ``1 + a + n / (r + 1)`` (expected: the mean over every
    order of the tied block); ``index`` counts the non-relevant items of the block with lower rows.

    Args:
        scores: Higher is nearer. Any real scale, negative too; only the order counts.
        relevant: True where the item is relevant to the query.
        ties: Tie rule. Short hash codes tie by the hundred.

    Returns:
        Ranks in items, float64. Fractional only under ``"expected"``.

    Raises:
        ValueError: A query has no relevant item or NaN among its scores (its row is named), or ``ties`` is unknown.

    Source:
        Berrendorf et al. 2020, arXiv 2002.06914, for one relevant item; ``r > 1`` as above.
    """
    return expected_rank(*first_hits(scores, relevant, ties))


def expected_rank(above: Tensor, others: Tensor, hits: Tensor) -> Float[Tensor, " queries"]:
    """Mean rank of the first relevant item over the orders of its block: of ``others`` and ``hits`` items."""
    return 1 + above + others.double() / (hits + 1)


def reciprocal_ranks(
    scores: Float[Tensor, "queries items"], relevant: Bool[Tensor, "queries items"], *, ties: Ties = "expected"
) -> Float[Tensor, " queries"]:
    """1 / rank of the first relevant item of each query; under expected ties the mean of that over all orders.

    The first of ``r`` relevant items is at position j of a block of ``t`` with probability C(t - j, r - 1) / C(t, r).
    The mean of 1 / rank is more than 1 / the mean rank.

    Raises:
        ValueError: As ``first_hit_ranks``.
    """
    return expected_reciprocal(*first_hits(scores, relevant, ties))


def expected_reciprocal(above: Tensor, others: Tensor, hits: Tensor) -> Float[Tensor, " queries"]:
    """Mean of 1 / rank of the first relevant item over the orders of its block: of ``others`` and ``hits`` items."""
    values, tied = 1 / (above + 1).double(), (others + hits).clamp(min=1)
    one = torch.digamma((above + tied + 1).double()) - torch.digamma((above + 1).double())
    values = torch.where((others > 0) & (hits == 1), one / tied, values)
    rows = ((others > 0) & (hits > 1)).nonzero()[:, 0]
    if len(rows):
        most = int(others[rows].max()) + 1
        parts = (part[rows, None].double() for part in (above, others, hits))
        pieces = zip(*(part.split(max(1, CHUNK // most)) for part in parts), strict=True)
        values[rows] = torch.cat([_reciprocal_of_several(most, *piece) for piece in pieces])
    return values


def _reciprocal_of_several(most: int, above: Tensor, others: Tensor, hits: Tensor) -> Float[Tensor, " rows"]:
    positions = torch.arange(1, most + 1, dtype=torch.float64, device=above.device)
    probability = (others + 1 - positions).clamp(min=0) / (others + hits + 1 - positions).clamp(min=1)
    probability = probability.cumprod(dim=1).roll(1, dims=1)  # that no position before holds a relevant item
    probability[:, 0] = 1
    probability *= hits / (others + hits + 1 - positions).clamp(min=1)
    return (torch.where(positions <= others + 1, probability, 0) / (above + positions)).sum(dim=1)


def median_rank(ranks: Float[Tensor, " queries"], median: Median = "floor") -> Float[Tensor, ""]:
    """Median of ranks from 1: ``floor`` drops the fraction, as MedR in the literature does, ``exact`` keeps it.

    Raises:
        ValueError: There is no rank, or ``median`` is unknown.
    """
    if median not in get_args(Median):
        raise ValueError(f"median must be one of {get_args(Median)}, got {median!r}")
    if len(ranks) == 0:
        raise ValueError("the median of no ranks is not defined; update with at least one query")
    ordered = ranks.sort().values
    middle = (ordered[(len(ranks) - 1) // 2] + ordered[len(ranks) // 2]) / 2
    return middle.floor() if median == "floor" else middle


class MeanRank(MeanOverQueries):
    """Mean rank of the first relevant item (MeanR); queries without one are left out."""

    higher_is_better = False

    def __init__(self, ties: Ties = "expected") -> None:
        super().__init__(ties, empty="skip")

    def per_query(
        self, scores: Float[Tensor, "queries items"], relevant: Bool[Tensor, "queries items"]
    ) -> Float[Tensor, " queries"]:
        """Rank of each query."""
        return first_hit_ranks(scores, relevant, ties=self.ties)


class MeanReciprocalRank(MeanOverQueries):
    """Mean of 1 / rank of the first relevant item (MRR); queries without one are left out."""

    def __init__(self, ties: Ties = "expected") -> None:
        super().__init__(ties, empty="skip")

    def per_query(
        self, scores: Float[Tensor, "queries items"], relevant: Bool[Tensor, "queries items"]
    ) -> Float[Tensor, " queries"]:
        """1 / rank of each query."""
        return reciprocal_ranks(scores, relevant, ties=self.ties)


class MedianRank(Metric):
    """Median rank of the first relevant item (MedR); queries without one are left out.

    Args:
        ties: As in ``first_hit_ranks``.
        median: As in ``median_rank``.
    """

    full_state_update = False
    higher_is_better = False
    ranks: list[Tensor]

    def __init__(self, ties: Ties = "expected", median: Median = "floor") -> None:
        super().__init__()
        self.ties: Ties = ties
        self.median: Median = median
        self.add_state("ranks", [], dist_reduce_fx="cat")

    def update(self, scores: Float[Tensor, "queries items"], relevant: Bool[Tensor, "queries items"]) -> None:
        """Adds a block of queries."""
        answered = relevant.any(dim=1)
        self.ranks.append(first_hit_ranks(scores[answered], relevant[answered], ties=self.ties))

    def compute(self) -> Float[Tensor, ""]:
        """Median over all queries of all blocks and processes."""
        return median_rank(dim_zero_cat(self.ranks), self.median)
