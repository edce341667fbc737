"""Rank of the first relevant item, and its median, mean and mean reciprocal over queries."""

from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64, Shaped
from torch import Tensor

from fico.metrics.metric import PerQueryMetric
from fico.metrics.specification import Median, Task, Ties
from fico.metrics.ties import CHUNK, TiedBlocks, refuse_nan


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
    values, is_mixed = 1 / (above + 1).double(), others > 0
    if not is_mixed.any():
        return values
    tied = (others + hits).clamp(min=1)
    one = torch.digamma((above + tied + 1).double()) - torch.digamma((above + 1).double())
    values = torch.where(is_mixed & (hits == 1), one / tied, values)
    rows = (is_mixed & (hits > 1)).nonzero()[:, 0]
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
    _check_median(median)
    if len(ranks) == 0:
        raise ValueError("the median of no ranks is not defined; update with at least one query")
    ordered = ranks.sort().values
    middle = (ordered[(len(ranks) - 1) // 2] + ordered[len(ranks) // 2]) / 2
    return middle.floor() if median == "floor" else middle


def _check_median(median: object) -> None:
    if median not in get_args(Median):
        raise ValueError(f"median must be one of {get_args(Median)}, got {median!r}")


def chance_median_rank(relevant: Int64[np.ndarray, " n"], queries: Int64[np.ndarray, " n"], items: int) -> float:
    """Smallest rank within which half of all queries find their first relevant item, over all orders of the gallery.

    Args:
        relevant: Distinct numbers of relevant items, at least 1.
        queries: How many queries have each of them.
        items: Size of the gallery.
    """
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, items + 1)))])  # of the factorials

    def is_reached(rank: int) -> bool:
        rest = items - rank
        possible = rest >= relevant
        missed = logs[rest] - logs[np.where(possible, rest - relevant, 0)] - logs[items] + logs[items - relevant]
        found = 1 - np.where(possible, np.exp(missed), 0)
        return bool(found @ queries >= 0.5 * queries.sum() - 1e-9)

    low, high = 0, items
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_reached(middle) else (middle, high)
    return float(high)


@dataclass(frozen=True, slots=True)
class FirstRank(PerQueryMetric):
    """What the metrics of the first relevant item's rank have in common: queries without one are left out.

    Args:
        task: Which items are relevant; at instance level alone such queries are always left out.
    """

    task: Task = "instance"

    def is_determined(self, scored: int, ranks: Shaped[np.ndarray, " queries"] | None) -> bool:
        return ranks is not None and not (ranks > scored).any()


@dataclass(frozen=True, slots=True)
class MedR(FirstRank):
    """Median rank of the first relevant item.

    Args:
        median: As in ``median_rank``.

    Raises:
        ValueError: ``median`` is unknown.

    Example:
        >>> import torch
        >>> metric = MedR().torchmetric()
        >>> metric.update(torch.tensor([[0.9, 0.1, 0.5], [0.2, 0.3, 0.1]]), torch.tensor([[False, True, False]] * 2))
        >>> float(metric.compute())  # of 3 and 1
        2.0
    """

    median: Median = "floor"

    name = "MedR"
    column = "rank"
    unit = "rank"
    higher_is_better = False
    summary = "median"

    def __post_init__(self) -> None:
        _check_median(self.median)

    def per_query(self, ranking: TiedBlocks) -> Float[Tensor, " queries"]:
        return expected_rank(*ranking.first())

    def finish(self, summaries: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
        return np.asarray(np.floor(summaries)) if self.median == "floor" else summaries

    def is_determined(self, scored: int, ranks: Shaped[np.ndarray, " queries"] | None) -> bool:
        return ranks is not None and not (len(ranks) and np.median(ranks) > scored)

    def chance(self, relevant: Int64[np.ndarray, " n"], queries: Int64[np.ndarray, " n"], items: int) -> float:
        return float(self.finish(np.asarray(chance_median_rank(relevant, queries, items))))

    def definition(self) -> str:
        rounding = "floored to a whole rank" if self.median == "floor" else "exact"
        return f"median rank of the first relevant item, from 1, {rounding}"


@dataclass(frozen=True, slots=True)
class MeanR(FirstRank):
    """Mean rank of the first relevant item.

    Example:
        >>> import torch
        >>> metric = MeanR().torchmetric()
        >>> metric.update(torch.tensor([[0.9, 0.1, 0.5]]), torch.tensor([[False, True, False]]))
        >>> float(metric.compute())
        3.0
    """

    name = "MeanR"
    column = "rank"
    unit = "rank"
    higher_is_better = False

    def per_query(self, ranking: TiedBlocks) -> Float[Tensor, " queries"]:
        return expected_rank(*ranking.first())

    def definition(self) -> str:
        return "mean rank of the first relevant item, from 1"


@dataclass(frozen=True, slots=True)
class MRR(FirstRank):
    """Mean reciprocal rank of the first relevant item.

    Example:
        >>> import torch
        >>> metric = MRR().torchmetric()
        >>> metric.update(torch.tensor([[0.9, 0.1, 0.5]]), torch.tensor([[False, False, True]]))
        >>> float(metric.compute())
        0.5
    """

    name = "MRR"

    def per_query(self, ranking: TiedBlocks) -> Float[Tensor, " queries"]:
        return expected_reciprocal(*ranking.first())

    def definition(self) -> str:
        return "mean of 1 / rank of the first relevant item"
