"""Rankings with ties, as the tied blocks that hold relevant items: all that any metric here needs of a ranking."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from fico.metrics.specification import Ties

CHUNK = 2**24  # elements of a table with a row per query and a column per position of a tied block


@dataclass(frozen=True, slots=True, eq=False)
class TiedBlocks:
    """Blocks of equal scores that hold relevant items, best first, of one query after the other.

    Every metric is its exact mean over all orders of the tied items. A block without non-relevant items is free of
    ties, so one set of formulas serves every tie rule: ``ordered`` gives the blocks of the other orders.

    Counts are of 32 bits unless the scores are too many: they are most of the memory of an evaluation.

    Args:
        offsets: First block of each query, and the number of all blocks.
        above: Items scored higher than the block.
        tied: Items in the block.
        relevant: Relevant items in the block, at least one.
        before: Relevant items above the block.
        all_relevant: Relevant items of each query.
        items: Size of the gallery.
    """

    offsets: Int[Tensor, " bounds"]
    above: Int[Tensor, " blocks"]
    tied: Int[Tensor, " blocks"]
    relevant: Int[Tensor, " blocks"]
    before: Int[Tensor, " blocks"]
    all_relevant: Int[Tensor, " queries"]
    items: int

    @property
    def query(self) -> Int[Tensor, " blocks"]:
        """Query of each block."""
        return torch.repeat_interleave(self.offsets.diff(), output_size=len(self.above))

    @property
    def is_mixed(self) -> Bool[Tensor, " blocks"]:
        """Blocks of relevant and non-relevant items."""
        return self.tied != self.relevant

    def ordered(self, relevant_first: bool) -> "TiedBlocks":
        """The optimistic order (relevant items first in every block) or the pessimistic one; neither has ties."""
        above = self.above if relevant_first else self.above + (self.tied - self.relevant)
        return replace(self, above=above, tied=self.relevant)

    def until(self, k: int) -> "TiedBlocks":
        """Blocks that begin among the first ``k`` items; the first block of a query is the same, or there is none."""
        return self.where(self.above < k)

    def where(self, kept: Bool[Tensor, " blocks"]) -> "TiedBlocks":
        """Some of the blocks of each query."""
        rows = kept.nonzero()[:, 0]
        above, tied, relevant, before = (part[rows] for part in (self.above, self.tied, self.relevant, self.before))
        offsets = torch.nn.functional.pad(kept.cumsum(0), (1, 0))[self.offsets]
        return TiedBlocks(offsets, above, tied, relevant, before, self.all_relevant, self.items)

    def first(self) -> tuple[Int[Tensor, " queries"], Int[Tensor, " queries"], Int[Tensor, " queries"]]:
        """Items above the first block of each query, and its non-relevant and relevant items; all 0 without one."""
        known = self.offsets.diff() > 0
        if len(self.above) == 0:
            return (torch.zeros_like(self.offsets[1:]),) * 3
        block = self.offsets[:-1].clamp(max=len(self.above) - 1)
        parts = (self.above[block], (self.tied - self.relevant)[block], self.relevant[block])
        above, others, hits = (part * known for part in parts)
        return above, others, hits

    def total(self, values: Shaped[Tensor, " blocks"]) -> Float[Tensor, " queries"]:
        """Sum of a value over the blocks of each query."""
        return _segments(values.double(), "sum", self.offsets)


def join_rankings(rankings: Sequence[TiedBlocks]) -> TiedBlocks:
    """The rankings of several sets of queries of one gallery, one set after the other."""
    if len(rankings) == 1:
        return rankings[0]
    parts = {name: torch.cat([getattr(each, name) for each in rankings]) for name in _JOINED}
    counts = torch.cat([each.offsets.diff() for each in rankings])
    return TiedBlocks(torch.nn.functional.pad(counts.cumsum(0), (1, 0)), **parts, items=rankings[0].items)


_JOINED = ("above", "tied", "relevant", "before", "all_relevant")


def _segments(
    values: Float[Tensor, " values"], reduce: Literal["sum", "max"], bounds: Int[Tensor, " bounds"]
) -> Float[Tensor, " segments"]:
    """Sum or maximum of successive values between successive bounds; 0 for none. The same on every run."""
    return torch.segment_reduce(values, reduce, offsets=bounds, initial=0, unsafe=True)


def segment_maxima(values: Float[Tensor, " values"], bounds: Int[Tensor, " bounds"]) -> Float[Tensor, " segments"]:
    """Maximum of the values between successive bounds; 0 for none."""
    return _segments(values, "max", bounds)


def rank_blocks(
    scores: Float[Tensor, "queries items"], relevant: Bool[Tensor, "queries items"], ties: Ties = "expected"
) -> TiedBlocks:
    """Ranks all items of each query by descending score.

    Args:
        scores: Higher is nearer. Any real scale; only the order counts.
        relevant: True where the item is relevant to the query.
        ties: ``expected`` keeps blocks of equal scores together, so that formulas give means over their orders;
            ``optimistic`` and ``pessimistic`` put relevant items first and last in them, ``index`` lower rows first.

    Raises:
        ValueError: ``ties`` is unknown, or a score is NaN (its row is named).
    """
    if ties not in get_args(Ties):
        raise ValueError(f"ties must be one of {get_args(Ties)}, got {ties!r}")
    refuse_nan(scores)
    ordered, indices = scores.sort(dim=1, descending=True, stable=ties == "index")
    hits = relevant.gather(1, indices)
    if ties == "index":
        return blocks_of_positions(hits)
    blocks = blocks_of_ranking(block_ends(ordered), hits)
    return blocks if ties == "expected" else blocks.ordered(relevant_first=ties == "optimistic")


def block_ends(ordered: Float[Tensor, "queries items"]) -> Int[Tensor, " ends"]:
    """Last position of each block of equal scores, counted through all rankings, one after the other."""
    is_end = torch.ones_like(ordered, dtype=torch.bool)
    torch.ne(ordered[:, :-1], ordered[:, 1:], out=is_end[:, :-1])
    return is_end.flatten().nonzero()[:, 0].to(_count_dtype(ordered))


def blocks_of_ranking(ends: Int[Tensor, " ends"], hits: Bool[Tensor, "queries items"]) -> TiedBlocks:
    """Tied blocks of rankings.

    Args:
        ends: As ``block_ends`` gives them.
        hits: Relevance along each ranking, best first.
    """
    found = hits.flatten().cumsum(0, dtype=ends.dtype).index_select(0, ends)
    relevant = found.diff(prepend=found.new_zeros(1))
    kept = relevant.nonzero()[:, 0]
    found, relevant = found[kept], relevant[kept]
    tied, ends = ends.diff(prepend=ends.new_full((1,), -1))[kept], ends[kept]
    del kept
    return _blocks(ends, tied, relevant, found, hits.shape)


def blocks_of_positions(hits: Bool[Tensor, "queries items"]) -> TiedBlocks:
    """Rankings without ties: each relevant item is a block."""
    ends = hits.flatten().nonzero()[:, 0].to(_count_dtype(hits))
    ones = torch.ones_like(ends)
    return _blocks(ends, ones, ones, ones.cumsum(0, dtype=ends.dtype), hits.shape)


def _count_dtype(table: Tensor) -> torch.dtype:
    """Integers that count the elements of a table in three orders."""
    return torch.int32 if table.numel() < 2**29 else torch.int64


def _blocks(ends: Tensor, tied: Tensor, relevant: Tensor, found: Tensor, shape: torch.Size) -> TiedBlocks:
    """Blocks from their last positions and relevant items up to there, both counted through all rankings."""
    queries, items = shape
    starts = items * torch.arange(queries + 1, device=ends.device, dtype=ends.dtype)
    offsets = torch.searchsorted(ends, starts)
    query = torch.repeat_interleave(offsets.diff(), output_size=len(ends))
    earlier = torch.nn.functional.pad(found, (1, 0))[offsets]
    above, before = ends + 1 - tied - starts[query], found - relevant - earlier[query]
    return TiedBlocks(offsets, above, tied, relevant, before, earlier.diff(), items)


def refuse_nan(scores: Float[Tensor, "queries items"]) -> None:
    """Refuses scores that have no order.

    Raises:
        ValueError: A score is NaN (its query is named).
    """
    nan = scores.isnan().any(dim=1)
    if nan.any():
        raise ValueError(
            f"scores of query {int(nan.nonzero()[0])} hold NaN, which has no rank; check the model that computed them"
        )


def check_cut(k: int) -> None:
    """Refuses cut-offs below 1.

    Raises:
        ValueError: ``k`` is not a positive whole number.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"k must be a whole number from 1, got {k!r}")
