"""PMRP, Plausible Match R-Precision: items are relevant whose labels differ from the query's in a few classes."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from fico.metrics.at_all_relevant import r_precision_of_ranking
from fico.metrics.counted_blocks import select_blocks
from fico.metrics.metric import PerQueryMetric
from fico.metrics.specification import Ties
from fico.metrics.ties import TiedBlocks, rank_blocks

ZETAS = (0, 1, 2)  # of the paper


def plausible_match_r_precision(
    scores: Float[Tensor, "queries items"],
    distances: Int[Tensor, "queries items"],
    zetas: tuple[int, ...] = ZETAS,
    *,
    ties: Ties = "expected",
) -> Float[Tensor, " queries"]:
    """Mean over ``zetas`` of the R-Precision in which items at a label distance of at most zeta are relevant.

    Args:
        scores: Higher is nearer.
        distances: Number of classes that one of the two images has and the other has not.
        zetas: Largest distances of a plausible match.
        ties: Tie rule; ``expected`` is the exact mean over all orders of tied items.

    Returns:
        Fractions 0 to 1; a zeta without plausible match counts 0.

    Raises:
        ValueError: ``ties`` is unknown.

    Source:
        Chun et al., CVPR 2021, arXiv 2101.05068, and ``evaluate_pmrp_coco.py`` of naver-ai/pcme.
    """
    found = [r_precision_of_ranking(rank_blocks(scores, distances <= zeta, ties)) for zeta in zetas]
    return torch.stack(found).mean(dim=0)


def blocks_of_first_r(
    scores: Float[Tensor, "queries items"],
    ascending: Float[Tensor, "queries items"],
    relevant: Bool[Tensor, "queries items"],
    by_index: bool = False,
) -> TiedBlocks:
    """All that R-Precision needs of a ranking, R being the number of relevant items: at most two blocks a query.

    The relevant items above the score at position R stand as one block free of ties, in front of the block at that
    position. Counting them takes no order of the items, whose thousands of relevant ones would each be a block.

    Args:
        scores: Higher is nearer; no NaN.
        ascending: The scores of each query, sorted.
        relevant: True where the item is relevant.
        by_index: Equal scores rank by index, lower first, so that there are no ties.
    """
    items, every = scores.shape[1], torch.count_nonzero(relevant, dim=1)
    limit = ascending.gather(1, (items - every).clamp(max=items - 1)[:, None])
    first, last = (torch.searchsorted(ascending, limit, right=right)[:, 0] for right in (False, True))
    above, tied, equal = items - last, last - first, scores == limit
    hits = torch.count_nonzero(relevant & (scores > limit), dim=1)
    if by_index:
        equal &= equal.cumsum(dim=1) <= (every - above)[:, None]
    in_block = torch.count_nonzero(relevant & equal, dim=1)
    if by_index:
        hits, in_block = hits + in_block, torch.zeros_like(in_block)
    none = torch.zeros_like(hits)
    pairs = ((none, above), (hits, tied), (hits, in_block), (none, hits))
    above, tied, found, before = (torch.stack(pair, dim=1) for pair in pairs)
    return replace(select_blocks(found > 0, above, tied, found, before, items), all_relevant=every)


@dataclass(frozen=True, slots=True)
class PMRP(PerQueryMetric):
    """Plausible Match R-Precision. Images without labels are no items; as queries they have no relevant item.

    Args:
        zetas: Items are plausible matches whose labels differ in at most so many classes; the value is the mean over
            the numbers given.

    Raises:
        ValueError: There is no number, or one is negative or stands twice.

    Example:
        >>> import torch
        >>> metric = PMRP(zetas=(0, 1)).torchmetric()
        >>> metric.update(torch.tensor([[0.9, 0.1, 0.5]]), torch.tensor([[3, 0, 1]]))
        >>> float(metric.compute())  # 0 of the first, 1 of the first two
        0.25
    """

    zetas: tuple[int, ...] = ZETAS

    task = "category"
    name = "PMRP"

    def __post_init__(self) -> None:
        if not self.zetas or any(zeta < 0 for zeta in self.zetas) or len(set(self.zetas)) < len(self.zetas):
            raise ValueError(f"zetas must be different whole numbers from 0, such as {ZETAS}, got {self.zetas}")

    @property
    def label_distances(self) -> tuple[int, ...]:
        return self.zetas

    def per_query(self, ranking: TiedBlocks) -> Float[Tensor, " queries"]:
        return r_precision_of_ranking(ranking)

    def of_scores(
        self, scores: Float[Tensor, "queries items"], relevant: Shaped[Tensor, "queries items"], ties: Ties
    ) -> Float[Tensor, " queries"]:
        """Value of each query from its scores and, in place of relevance, the label distances of the items."""
        return plausible_match_r_precision(scores, relevant, self.zetas, ties=ties)

    def definition(self) -> str:
        return (
            "R-Precision in which the items of images whose labels differ in at most zeta classes are relevant, mean "
            f"over zeta {', '.join(map(str, self.zetas))}; images without labels are no items"
        )
