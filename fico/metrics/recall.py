"""R@K: whether any, or what fraction, of the relevant items rank among the first K."""

from dataclasses import dataclass
from typing import get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fico.metrics.metric import PerQueryMetric
from fico.metrics.rank import first_hits
from fico.metrics.specification import RecallKind, Task, Ties
from fico.metrics.ties import CHUNK, TiedBlocks, check_cut, rank_blocks, refuse_nan


def recall_at_k(
    scores: Float[Tensor, "queries items"],
    relevant: Bool[Tensor, "queries items"],
    k: int,
    *,
    ties: Ties = "expected",
    recall: RecallKind = "any",
) -> Float[Tensor, " queries"]:
    """Recall at ``k`` of each query.

    ``any`` is what image-text retrieval calls R@K: 1 if at least one relevant item ranks among the first k. With m
    positions of the first relevant item's tied block (n non-relevant, r relevant items) before the cut-off, the
    expected value is 1 - C(n, m) / C(n + r, m). ``fraction`` is the fraction of the relevant items found.

    Args:
        scores: Higher is nearer.
        relevant: True where the item is relevant to the query.
        k: Cut-off, from 1; one beyond the gallery finds everything.
        ties: Tie rule.
        recall: Which of the two.

    Returns:
        Fractions 0 to 1; 0 for a query without relevant item.

    Raises:
        ValueError: ``k`` is below 1, a score is NaN, or ``ties`` or ``recall`` is unknown.
    """
    check_cut(k)
    if recall not in get_args(RecallKind):
        raise ValueError(f"recall must be one of {get_args(RecallKind)}, got {recall!r}")
    if recall == "fraction":
        return fraction_found(rank_blocks(scores, relevant, ties), k)
    refuse_nan(scores)
    found = torch.zeros(len(scores), dtype=torch.float64, device=scores.device)
    answered = relevant.any(dim=1)
    found[answered] = any_found(*first_hits(scores[answered], relevant[answered], ties), k)
    return found


def any_found(above: Tensor, others: Tensor, hits: Tensor, k: int | Tensor) -> Float[Tensor, "..."]:
    """Probability that the first relevant item ranks among the first ``k``, over the orders of its block.

    Arguments broadcast: rows of queries with a column of cut-offs give a table.

    None does with the probability C(n, m) / C(n + r, m), the product of (n - m + i) / (n + i) for i from 1 to r.
    """
    positions = (k - above).clamp(min=0).minimum(others + hits)
    is_reached = (positions > 0) & (hits > 0)
    found, is_mixed = is_reached.double(), is_reached & (others > 0)
    if is_mixed.any():
        parts = [part.expand_as(positions)[is_mixed][:, None].double() for part in (others, hits, positions)]
        most = int(parts[1].max())
        pieces = zip(*(part.split(max(1, CHUNK // most)) for part in parts), strict=True)
        found[is_mixed] = torch.cat([1 - _none_found(most, *piece) for piece in pieces])
    return found


def _none_found(most: int, others: Tensor, hits: Tensor, positions: Tensor) -> Float[Tensor, " rows"]:
    steps = torch.arange(1, most + 1, dtype=torch.float64, device=hits.device)
    factors = (others - positions + steps).clamp(min=0) / (others + steps)
    return torch.where(steps <= hits, factors, 1).prod(dim=1)


def fraction_found(ranking: TiedBlocks, k: int) -> Float[Tensor, " queries"]:
    """Mean fraction of the relevant items among the first ``k``."""
    blocks = ranking.until(k)
    found = blocks.relevant * (k - blocks.above).minimum(blocks.tied).double() / blocks.tied
    return blocks.total(found) / ranking.all_relevant.clamp(min=1)


@dataclass(frozen=True, slots=True)
class Recall(PerQueryMetric):
    """R@K.

    Args:
        k: Cut-off, from 1; one beyond the gallery finds everything.
        recall: ``any`` relevant item found (hit rate), or the ``fraction`` of a query's relevant items.
        task: Which items are relevant.

    Raises:
        ValueError: ``k`` is below 1, or ``recall`` is unknown.

    Example:
        >>> import torch
        >>> metric = Recall(1).torchmetric()
        >>> metric.update(torch.tensor([[0.9, 0.1], [0.8, 0.3]]), torch.tensor([[True, False], [False, True]]))
        >>> float(metric.compute())
        0.5
    """

    k: int
    recall: RecallKind = "any"
    task: Task = "instance"

    def __post_init__(self) -> None:
        check_cut(self.k)
        if self.recall not in get_args(RecallKind):
            raise ValueError(f"recall must be one of {get_args(RecallKind)}, got {self.recall!r}")

    @property
    def name(self) -> str:
        return f"R@{self.k}"

    @property
    def depth(self) -> int:
        return self.k

    def per_query(self, ranking: TiedBlocks) -> Float[Tensor, " queries"]:
        if self.recall == "fraction":
            return fraction_found(ranking, self.k)
        return any_found(*ranking.first(), self.k)

    def definition(self) -> str:
        if self.recall == "fraction":
            return f"mean fraction of a query's relevant items among the first {self.k}"
        return f"fraction of queries with at least one relevant item among the first {self.k}"
