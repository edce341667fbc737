"""Precision at a cut-off, over eleven levels of recall, and within every Hamming radius."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from fico.metrics.metric import PerQueryMetric
from fico.metrics.specification import RetrievalMetric, Task, Ties
from fico.metrics.ties import TiedBlocks, check_cut, rank_blocks, segment_maxima

RECALL_LEVELS = tuple(level / 10 for level in range(11))


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
    return relevant_fraction(rank_blocks(scores, relevant, ties), k)


def relevant_fraction(ranking: TiedBlocks, k: int) -> Float[Tensor, " queries"]:
    """Mean fraction of the first ``k`` that is relevant."""
    blocks = ranking.until(k)
    found = blocks.relevant * (k - blocks.above).minimum(blocks.tied).double() / blocks.tied
    return blocks.total(found) / k


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


def precision_of_ranking(ranking: TiedBlocks) -> Float[Tensor, "queries 11"]:
    """Interpolated precision of each ranking.

    Precision is monotone along a block, so its maximum is where the level is reached, or at the end of a later block.
    """
    all_relevant = ranking.all_relevant
    if len(ranking.above) == 0:
        return torch.zeros(len(all_relevant), 11, dtype=torch.float64, device=all_relevant.device)
    levels = torch.arange(11, device=all_relevant.device).double() / 10
    needed = (levels * all_relevant[:, None] + 0.9).floor().long()
    block = _blocks_reaching(ranking, needed)
    bounds = torch.cat([block.flatten(), ranking.offsets[-1:]])
    ends = (ranking.before + ranking.relevant).double() / (ranking.above + ranking.tied)
    later = segment_maxima(ends, bounds).view(-1, 11).flip(1).cummax(dim=1).values.flip(1)
    block = block.clamp(max=len(ends) - 1)
    above, tied, relevant, before = (
        part[block] for part in (ranking.above, ranking.tied, ranking.relevant, ranking.before)
    )
    reached = above + (needed - before) * tied.double() / relevant
    precision = torch.where(needed > 0, needed / reached.clamp(min=1), 0)
    return torch.where(all_relevant[:, None] > 0, later.maximum(precision), 0)


def _blocks_reaching(ranking: TiedBlocks, needed: Int[Tensor, "queries levels"]) -> Int[Tensor, "queries levels"]:
    """Block of each query that holds its n-th relevant item; the first for 0."""
    found = ranking.relevant.cumsum(0, dtype=ranking.relevant.dtype)  # through all queries, as many as scores at most
    earlier = torch.nn.functional.pad(found, (1, 0))[ranking.offsets[:-1], None]
    return torch.searchsorted(found, earlier + needed.clamp(min=1).to(found.dtype))


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
    return precision_recall_of_counts(seen, found)


def precision_recall_of_counts(
    counts: Shaped[Tensor, "queries radii"], relevant: Shaped[Tensor, "queries radii"]
) -> tuple[Float[Tensor, "queries radii"], Float[Tensor, "queries radii"]]:
    """Precision and recall within each radius, from the items and the relevant items at each distance."""
    seen, found = counts.double().cumsum(1), relevant.double().cumsum(1)
    return found / seen.clamp(min=1), found / found[:, -1:].clamp(min=1)


@dataclass(frozen=True, slots=True)
class InterpolatedPrecision(PerQueryMetric):
    """PR@level: a point of the precision-recall curve, as in ``interpolated_precision``.

    Args:
        level: Recall: 0, 0.1, ... or 1.
        task: Which items are relevant.

    Raises:
        ValueError: ``level`` is no such recall.

    Example:
        >>> import torch
        >>> metric = InterpolatedPrecision(0.8).torchmetric()
        >>> metric.update(torch.tensor([[0.9, 0.1, 0.5]]), torch.tensor([[True, True, False]]))
        >>> round(float(metric.compute()), 2)
        0.67
    """

    level: float
    task: Task = "category"

    def __post_init__(self) -> None:
        if self.level not in RECALL_LEVELS:
            raise ValueError(f"level must be one of {', '.join(map(str, RECALL_LEVELS))}, got {self.level!r}")

    @property
    def name(self) -> str:
        return f"PR@{self.level:.1f}"

    def per_query(self, ranking: TiedBlocks) -> Float[Tensor, " queries"]:
        return precision_of_ranking(ranking)[:, RECALL_LEVELS.index(self.level)]

    def definition(self) -> str:
        return f"highest precision at or beyond recall {self.level:.1f} per query (trec_eval's cut-off), then the mean"


@dataclass(frozen=True, slots=True)
class RadiusCurves(RetrievalMetric):
    """Precision and recall within every Hamming radius: curves of a result, for codes with labels; no single number.

    Args:
        task: ``category``; curves of the other task are not computed.
    """

    task: Task = "category"

    name = "radius curves"

    def definition(self) -> str:
        return "mean precision and recall of the items within each Hamming radius"


@dataclass(frozen=True, slots=True)
class Precision(PerQueryMetric):
    """P@K.

    Args:
        k: Cut-off, from 1.
        task: Which items are relevant.

    Raises:
        ValueError: ``k`` is below 1.

    Example:
        >>> import torch
        >>> metric = Precision(2).torchmetric()
        >>> metric.update(torch.tensor([[0.9, 0.1, 0.5]]), torch.tensor([[True, True, False]]))
        >>> float(metric.compute())
        0.5
    """

    k: int
    task: Task = "category"

    def __post_init__(self) -> None:
        check_cut(self.k)

    @property
    def name(self) -> str:
        return f"P@{self.k}"

    @property
    def depth(self) -> int:
        return self.k

    def per_query(self, ranking: TiedBlocks) -> Float[Tensor, " queries"]:
        return relevant_fraction(ranking, self.k)

    def definition(self) -> str:
        return f"mean fraction of the first {self.k} that is relevant"
