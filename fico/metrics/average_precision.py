"""Average precision at a cut-off over three denominators, and over the whole ranking."""

from dataclasses import dataclass
from typing import get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fico.metrics.metric import PerQueryMetric
from fico.metrics.specification import Denominator, Task, Ties
from fico.metrics.ties import CHUNK, TiedBlocks, check_cut, rank_blocks


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
    ranking: TiedBlocks, k: int | None = None, denominator: Denominator = "hits"
) -> Float[Tensor, " queries"]:
    """AP of each ranking; arguments as in ``average_precision``.

    Raises:
        ValueError: ``k`` is below 1, or ``denominator`` is unknown.
    """
    _check_denominator(denominator)
    if k is not None:
        check_cut(k)
    wanted = ranking.all_relevant.clamp(min=1)
    if k is None or k >= ranking.items:
        return ranking.total(precision_sums(ranking, ranking.tied)) / wanted
    blocks = ranking.until(k)
    positions = (k - blocks.above).minimum(blocks.tied)
    sums = precision_sums(blocks, positions)
    if denominator != "hits":
        return blocks.total(sums) / (wanted.clamp(max=k) if denominator == "min_k_r" else wanted)
    values = blocks.total(sums) / blocks.total(positions.minimum(blocks.relevant)).clamp(min=1)
    is_cut = blocks.is_mixed & (positions < blocks.tied)  # at most one block of a query
    cut = blocks.where(is_cut)
    if len(cut.above):
        queries = cut.query
        values[queries] = _over_found(cut, blocks.total(sums.masked_fill(is_cut, 0))[queries], k)
    return values


def _check_denominator(denominator: object) -> None:
    if denominator not in get_args(Denominator):
        raise ValueError(f"denominator must be one of {get_args(Denominator)}, got {denominator!r}")


def precision_sums(blocks: TiedBlocks, positions: Int[Tensor, " blocks"]) -> Float[Tensor, " blocks"]:
    """Mean sum of the precisions at the relevant items among the first positions of each block.

    Position i of a block of t with r relevant items, h of them before it, holds a relevant item with probability r/t,
    and then (i-1)(r-1)/(t-1) of those before it do on average: sum_i (r/t)(h+1+(i-1)q)/(a+i) with q = (r-1)/(t-1),
    which the harmonic numbers close.
    """
    sums = (blocks.before + 1).double() / (blocks.above + 1)  # of a single item
    several = (blocks.tied > 1).nonzero()[:, 0]
    if len(several) == 0:
        return sums
    before, above, tied, relevant, count = (
        part[several].double() for part in (blocks.before, blocks.above, blocks.tied, blocks.relevant, positions)
    )
    density, step = relevant / tied, (relevant - 1) / (tied - 1)
    sums[several] = density * ((before + 1 - step * (above + 1)) * _inverse_ranks(above, count) + step * count)
    return sums


def _inverse_ranks(above: Float[Tensor, "*rows"], count: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
    """Sum of 1 / rank over ``count`` ranks after ``above``."""
    return torch.digamma(above + count + 1) - torch.digamma(above + 1)


def _over_found(cut: TiedBlocks, totals: Float[Tensor, " blocks"], k: int) -> Float[Tensor, " blocks"]:
    """Mean of (sum of precisions / hits) of queries whose cut-off lies inside a block of both kinds.

    The hits x among the positions before the cut-off are hypergeometric; given x they lie evenly over them.

    Args:
        cut: These blocks, one per query.
        totals: Sum of the precisions above each of them.
        k: Cut-off.
    """
    most = int((k - cut.above).minimum(cut.relevant).max())
    step = max(1, CHUNK // (most + 1))
    parts = (totals, cut.above, cut.tied, cut.relevant, cut.before)
    pieces = ([part[n : n + step, None].double() for part in parts] for n in range(0, len(totals), step))
    return torch.cat([_over_found_piece(k, most, *piece) for piece in pieces])


def _over_found_piece(
    k: int, most: int, total: Tensor, above: Tensor, tied: Tensor, relevant: Tensor, before: Tensor
) -> Float[Tensor, " rows"]:
    found = torch.arange(most + 1, dtype=torch.float64, device=above.device)
    positions = k - above
    left_over = tied - relevant - positions
    least, last = (-left_over).clamp(min=0), positions.minimum(relevant)
    ratios = (relevant - found) * (positions - found) / ((found + 1) * (left_over + found + 1))
    logs = torch.where((found >= least) & (found < last), ratios, 1).log().cumsum(dim=1).roll(1, dims=1)
    logs[:, 0] = 0
    probability = logs.masked_fill((found < least) | (found > last), -torch.inf).softmax(dim=1)
    step = (found - 1) / (positions - 1).clamp(min=1)
    sums = found / positions * ((before + 1 - step * (above + 1)) * _inverse_ranks(above, positions) + step * positions)
    return (probability * (total + sums) / (before + found).clamp(min=1)).sum(dim=1)


_OVER = {
    "hits": "divided by the relevant items among them",
    "min_k_r": "divided by min({k}, all relevant items)",
    "r": "divided by all relevant items",
}


@dataclass(frozen=True, slots=True)
class AveragePrecision(PerQueryMetric):
    """AP@K, whose mean is mAP@K; its arguments are those of ``average_precision``.

    Args:
        k: Cut-off, from 1; None is the whole ranking, mAP@N.
        denominator: Of AP@K; the three agree for the whole ranking.
        task: Which items are relevant.

    Raises:
        ValueError: ``k`` is below 1, or ``denominator`` is unknown.

    Example:
        >>> import torch
        >>> metric = AveragePrecision().torchmetric()
        >>> metric.update(torch.tensor([[0.9, 0.1, 0.5]]), torch.tensor([[True, True, False]]))
        >>> round(float(metric.compute()), 4)  # of 1/1 and 2/3
        0.8333
    """

    k: int | None = None
    denominator: Denominator = "hits"
    task: Task = "category"

    def __post_init__(self) -> None:
        if self.k is not None:
            check_cut(self.k)
        _check_denominator(self.denominator)

    @property
    def name(self) -> str:
        return f"mAP@{self.k or 'N'}"

    @property
    def depth(self) -> int | None:
        return self.k

    def per_query(self, ranking: TiedBlocks) -> Float[Tensor, " queries"]:
        return ap_of_ranking(ranking, self.k, self.denominator)

    def definition(self) -> str:
        if self.k is None:
            return "mean average precision over the whole ranking"
        return f"mean average precision of the first {self.k}, {_OVER[self.denominator].format(k=self.k)}"
