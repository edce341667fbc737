"""Tied blocks by counting, where the relevant items of a query or the values of its scores are few: no sort."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fico.metrics.ties import TiedBlocks

MOST_COUNTED = 16  # relevant items per query up to which two passes over the scores for each beat a sort


def count_blocks(
    scores: Float[Tensor, "queries items"], positives: Int[Tensor, "queries most"], by_index: bool = False
) -> TiedBlocks:
    """Tied blocks of a few relevant items per query, by counting: no more than those items are ordered.

    Args:
        scores: Higher is nearer; no NaN.
        positives: Relevant items of each query; -1 fills the rows of those with fewer.
        by_index: Equal scores rank by index, lower first, so that there are no ties.
    """
    known = positives >= 0
    own = scores.gather(1, positives.clamp(min=0))
    counts = [_count(scores, own[:, p, None], positives[:, p, None], by_index) for p in range(own.shape[1])]
    above, tied = (torch.stack(part, dim=1) for part in zip(*counts, strict=True))
    same = (above[:, :, None] == above[:, None, :]) & known[:, None, :]
    relevant = same.sum(dim=2)
    kept = known & ~same.tril(-1).any(dim=2)  # the first of several in one block stands for it
    above = above.masked_fill(~kept, scores.shape[1])
    order = above.argsort(dim=1)
    above, tied, relevant, kept = (part.gather(1, order) for part in (above, tied, relevant, kept))
    relevant = relevant * kept
    before = relevant.cumsum(dim=1) - relevant
    return select_blocks(kept, above, tied, relevant, before, scores.shape[1])


def _count(
    scores: Tensor, own: Tensor, item: Tensor, by_index: bool
) -> tuple[Int[Tensor, " queries"], Int[Tensor, " queries"]]:
    """Items above one item of each query, and those in its block."""
    above, equal = (scores > own).sum(dim=1), scores == own
    if not by_index:
        return above, equal.sum(dim=1)
    equal &= torch.arange(scores.shape[1], device=scores.device) < item
    return above + equal.sum(dim=1), torch.ones_like(above)


def blocks_of_counts(
    counts: Int[Tensor, "queries values"], relevant: Int[Tensor, "queries values"], items: int
) -> TiedBlocks:
    """Tied blocks of scores that take few values.

    Args:
        counts: Items with each value, best first.
        relevant: Relevant items with each value.
        items: Size of the gallery.
    """
    above, before = counts.cumsum(dim=1) - counts, relevant.cumsum(dim=1) - relevant
    return select_blocks(relevant > 0, above, counts, relevant, before, items)


def blocks_of_positives(
    starts: Int[Tensor, " bounds"],
    above: Int[Tensor, " entries"],
    tied: Int[Tensor, " entries"],
    relevant: Int[Tensor, " entries"],
    items: int,
) -> TiedBlocks:
    """Tied blocks that are listed where the positives of their query are; entries without relevant items are none."""
    kept = relevant > 0
    rows = kept.nonzero()[:, 0]
    offsets = torch.nn.functional.pad(kept.cumsum(0), (1, 0))[starts]
    above, tied, relevant = above[rows], tied[rows], relevant[rows]
    found = torch.nn.functional.pad(relevant.cumsum(0), (1, 0))
    earlier = found[offsets]
    before = found[:-1] - torch.repeat_interleave(earlier[:-1], offsets.diff(), output_size=len(rows))
    return TiedBlocks(offsets, above, tied, relevant, before, earlier.diff(), items)


def select_blocks(
    kept: Tensor, above: Tensor, tied: Tensor, relevant: Tensor, before: Tensor, items: int
) -> TiedBlocks:
    """The kept blocks of tables with a row per query."""
    offsets = torch.nn.functional.pad(kept.sum(dim=1).cumsum(0), (1, 0))
    rows = kept.flatten().nonzero()[:, 0]
    totals = relevant.sum(dim=1)
    above, tied, relevant, before = (part.flatten()[rows] for part in (above, tied, relevant, before))
    return TiedBlocks(offsets, above, tied, relevant, before, totals, items)
