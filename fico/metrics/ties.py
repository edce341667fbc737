"""Rankings with ties: the tied block that each place of a ranking belongs to."""

from dataclasses import dataclass
from typing import get_args

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from fico.metrics.specification import Ties


@dataclass(frozen=True, slots=True, eq=False)
class TiedRanking:
    """For every place of every ranking, best first, the block of equal scores that it lies in.

    Args:
        above: Items scored higher than the block.
        tied: Items in the block.
        right: Relevant items in the block.
        before: Relevant items above the block.
    """

    above: Int64[Tensor, "queries items"]
    tied: Int64[Tensor, "queries items"]
    right: Int64[Tensor, "queries items"]
    before: Int64[Tensor, "queries items"]

    @property
    def places(self) -> Int64[Tensor, " items"]:
        """Places from 0."""
        return torch.arange(self.above.shape[1], device=self.above.device)

    @property
    def relevant(self) -> Int64[Tensor, " queries"]:
        """Relevant items of each query."""
        return self.before[:, -1] + self.right[:, -1]

    @property
    def share(self) -> Float[Tensor, "queries items"]:
        """Chance that a place holds a relevant item."""
        return self.right.double() / self.tied

    def in_order(self, right_first: bool) -> "TiedRanking":
        """The optimistic order (right items first in every block) or the pessimistic one, which have no ties."""
        inside = self.places - self.above
        if right_first:
            right, seen = inside < self.right, inside.minimum(self.right)
        else:
            wrong = self.tied - self.right
            right, seen = inside >= wrong, (inside - wrong).clamp(min=0)
        places = self.places.expand_as(self.above)
        return TiedRanking(places, torch.ones_like(self.tied), right.long(), self.before + seen)


def rank_blocks(
    scores: Float[Tensor, "queries items"], relevant: Bool[Tensor, "queries items"], ties: Ties = "expected"
) -> TiedRanking:
    """Ranks all items of each query by descending score.

    Args:
        scores: Higher is nearer. Any real scale; only the order counts.
        relevant: True where the item answers the query.
        ties: ``expected`` keeps blocks of equal scores together, so that formulas give means over their orders;
            ``optimistic`` and ``pessimistic`` put right items first and last within them, ``index`` lower rows first.

    Raises:
        ValueError: ``ties`` is unknown, or a score is NaN (its row is named).
    """
    if ties not in get_args(Ties):
        raise ValueError(f"ties must be one of {get_args(Ties)}, got {ties!r}")
    if scores.isnan().any():
        raise ValueError(f"scores of query {int(scores.isnan().any(dim=1).nonzero()[0])} are NaN; only numbers rank")
    ordered, indices = scores.sort(dim=1, descending=True, stable=True)
    hits = relevant.gather(1, indices).long()
    if ties == "index":
        places = torch.arange(scores.shape[1], device=scores.device).expand_as(hits)
        return TiedRanking(places, torch.ones_like(hits), hits, hits.cumsum(1) - hits)
    blocks = _blocks(ordered, hits)
    return blocks if ties == "expected" else blocks.in_order(right_first=ties == "optimistic")


def _blocks(ordered: Float[Tensor, "queries items"], hits: Int64[Tensor, "queries items"]) -> TiedRanking:
    places = torch.arange(ordered.shape[1], device=ordered.device)
    changes = torch.ones_like(ordered, dtype=torch.bool)
    changes[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    above = torch.where(changes, places, 0).cummax(1).values
    lasts = torch.ones_like(changes)
    lasts[:, :-1] = changes[:, 1:]
    behind = torch.where(lasts, places + 1, len(places)).flip(1).cummin(1).values.flip(1)
    found = torch.nn.functional.pad(hits.cumsum(1), (1, 0))
    before = found.gather(1, above)
    return TiedRanking(above, behind - above, found.gather(1, behind) - before, before)


def check_cut(k: int) -> None:
    """Refuses cuts below 1.

    Raises:
        ValueError: ``k`` is not a positive whole number.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"k must be a whole number from 1, got {k!r}")


def log_choose(n: Tensor, k: Tensor) -> Float[Tensor, "..."]:
    """Logarithm of n over k, minus infinity where k lies outside 0 to n."""
    possible = (k >= 0) & (k <= n)
    n, k = n.double(), torch.where(possible, k, 0).double()
    value = torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)
    return torch.where(possible, value, -torch.inf)
