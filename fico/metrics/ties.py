"""Rankings with ties: the tied block that each position of a ranking belongs to."""

from dataclasses import dataclass
from typing import get_args

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from fico.metrics.specification import Ties


@dataclass(frozen=True, slots=True, eq=False)
class TiedRanking:
    """For every position of every ranking, best first, the block of equal scores that it belongs to.

    Args:
        above: Items scored higher than the block.
        tied: Items in the block.
        relevant: Relevant items in the block.
        before: Relevant items above the block.
    """

    above: Int64[Tensor, "queries items"]
    tied: Int64[Tensor, "queries items"]
    relevant: Int64[Tensor, "queries items"]
    before: Int64[Tensor, "queries items"]

    @property
    def positions(self) -> Int64[Tensor, " items"]:
        """Positions from 0."""
        return torch.arange(self.above.shape[1], device=self.above.device)

    @property
    def all_relevant(self) -> Int64[Tensor, " queries"]:
        """Relevant items of each query."""
        return self.before[:, -1] + self.relevant[:, -1]

    @property
    def relevance(self) -> Float[Tensor, "queries items"]:
        """Probability that the item at a position is relevant, over the orders of its block."""
        return self.relevant.double() / self.tied

    def ordered(self, relevant_first: bool) -> "TiedRanking":
        """The optimistic order (relevant items first in every block) or the pessimistic one; neither has ties."""
        inside = self.positions - self.above
        if relevant_first:
            is_relevant, seen = inside < self.relevant, inside.minimum(self.relevant)
        else:
            others = self.tied - self.relevant
            is_relevant, seen = inside >= others, (inside - others).clamp(min=0)
        positions = self.positions.expand_as(self.above)
        return TiedRanking(positions, torch.ones_like(self.tied), is_relevant.long(), self.before + seen)


def rank_blocks(
    scores: Float[Tensor, "queries items"], relevant: Bool[Tensor, "queries items"], ties: Ties = "expected"
) -> TiedRanking:
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
    ordered, indices = scores.sort(dim=1, descending=True, stable=True)
    hits = relevant.gather(1, indices).long()
    if ties == "index":
        positions = torch.arange(scores.shape[1], device=scores.device).expand_as(hits)
        return TiedRanking(positions, torch.ones_like(hits), hits, hits.cumsum(1) - hits)
    blocks = _blocks(ordered, hits)
    return blocks if ties == "expected" else blocks.ordered(relevant_first=ties == "optimistic")


def _blocks(ordered: Float[Tensor, "queries items"], hits: Int64[Tensor, "queries items"]) -> TiedRanking:
    positions = torch.arange(ordered.shape[1], device=ordered.device)
    changes = torch.ones_like(ordered, dtype=torch.bool)
    changes[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    above = torch.where(changes, positions, 0).cummax(1).values
    lasts = torch.ones_like(changes)
    lasts[:, :-1] = changes[:, 1:]
    behind = torch.where(lasts, positions + 1, len(positions)).flip(1).cummin(1).values.flip(1)
    found = torch.nn.functional.pad(hits.cumsum(1), (1, 0))
    before = found.gather(1, above)
    return TiedRanking(above, behind - above, found.gather(1, behind) - before, before)


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


def log_choose(n: Tensor, k: Tensor) -> Float[Tensor, "..."]:
    """Logarithm of n over k, minus infinity where k is outside 0 to n."""
    possible = (k >= 0) & (k <= n)
    n, k = n.double(), torch.where(possible, k, 0).double()
    value = torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)
    return torch.where(possible, value, -torch.inf)
