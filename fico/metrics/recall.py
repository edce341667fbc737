"""R@K: whether, or what fraction of, the right items stand among the first K."""

from typing import get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fico.metrics.base import MeanOverQueries
from fico.metrics.rank import first_hits
from fico.metrics.specification import Empty, RecallKind, Ties
from fico.metrics.ties import TiedRanking, check_cut, log_choose, rank_blocks


def recall_at_k(
    scores: Float[Tensor, "queries items"],
    relevant: Bool[Tensor, "queries items"],
    k: int,
    *,
    ties: Ties = "expected",
    recall: RecallKind = "any",
) -> Float[Tensor, " queries"]:
    """Recall at ``k`` of each query.

    ``any`` is what image-text retrieval calls R@K: 1 if at least one right item stands among the first k. With m of
    the places of the first right item's block inside the cut, the expected value is
    1 - C(w, m) / C(w + r, m). ``fraction`` is the share of the right items found.

    Args:
        scores: Higher is nearer.
        relevant: True where the item answers the query.
        k: Cut, from 1; a cut beyond the gallery finds everything.
        ties: Order of equal scores.
        recall: Which of the two.

    Returns:
        Fractions 0 to 1; 0 for a query without right item.

    Raises:
        ValueError: ``k`` is below 1, or ``ties`` or ``recall`` is unknown.
    """
    check_cut(k)
    if recall not in get_args(RecallKind):
        raise ValueError(f"recall must be one of {get_args(RecallKind)}, got {recall!r}")
    if recall == "fraction":
        return fraction_found(rank_blocks(scores, relevant, ties), k)
    found = torch.zeros(len(scores), dtype=torch.float64, device=scores.device)
    answered = relevant.any(dim=1)
    above, wrong, right = first_hits(scores[answered], relevant[answered], ties)
    found[answered] = any_found(above, wrong, right, k)
    return found


def any_found(above: Tensor, wrong: Tensor, right: Tensor, k: int) -> Float[Tensor, " queries"]:
    """Chance that a block's first right item stands among the first ``k``."""
    places = (k - above).clamp(min=0).minimum(wrong + right)
    return 1 - (log_choose(wrong, places) - log_choose(wrong + right, places)).exp()


def fraction_found(ranking: TiedRanking, k: int) -> Float[Tensor, " queries"]:
    """Mean fraction of the relevant items among the first ``k``."""
    return ranking.share[:, :k].sum(dim=1) / ranking.relevant.clamp(min=1)


class RecallAtK(MeanOverQueries):
    """Mean of ``recall_at_k``; by default queries without right item are left out, as at instance level."""

    def __init__(self, k: int, ties: Ties = "expected", recall: RecallKind = "any", empty: Empty = "skip") -> None:
        super().__init__(empty=empty)
        check_cut(k)
        self.k = k
        self.ties: Ties = ties
        self.recall: RecallKind = recall

    def per_query(
        self, scores: Float[Tensor, "queries items"], relevant: Bool[Tensor, "queries items"]
    ) -> Float[Tensor, " queries"]:
        """R@K of each query."""
        return recall_at_k(scores, relevant, self.k, ties=self.ties, recall=self.recall)
