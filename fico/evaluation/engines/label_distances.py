"""Columns of metrics whose relevant items are those at a distance of labels, on any device."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Bool, Float, Int16
from torch import Tensor

from fico.evaluation.engines.unfused_columns import PIECE_SCORES, tie_orders, values_of_orders
from fico.evaluation.relevance import CategoryRetrieval
from fico.metrics.metric import PerQueryMetric, random_ranking
from fico.metrics.plausible_match import blocks_of_first_r
from fico.metrics.specification import Direction, Ties

_FARTHEST = 2**15 - 1
DEVICE_PIECE = 4 * PIECE_SCORES  # scores that are ranked at a time on a device


class DistanceColumns:
    """Values per query of such metrics, and their levels of chance. Images without labels are no items.

    Args:
        metrics: One for each column.
        category: The labels.
        direction: Which queries.
        ties: Tie rule.
        device: Where they are computed.
    """

    def __init__(
        self,
        metrics: tuple[PerQueryMetric, ...],
        category: CategoryRetrieval,
        direction: Direction,
        ties: Ties,
        device: torch.device,
    ) -> None:
        queries, items = (torch.from_numpy(side).to(device) for side in category.instance.images_of(direction))
        self._metrics, self._ties, self._queries = metrics, ties, queries
        self._labels = torch.from_numpy(category.labels).to(device).float()
        kept = self._labels.any(dim=1)[items]
        self._kept = None if kept.all() else kept.nonzero()[:, 0]
        self._items = items[kept]

    def values(self, scores: Float[Tensor, "queries items"], start: int) -> Float[Tensor, "orders queries columns"]:
        """Values under the tie rule, in the pessimistic and in the optimistic order.

        Args:
            scores: Of successive queries with every item.
            start: Row of the first of them.
        """
        if len(self._items) == 0:
            return scores.new_zeros(3, len(scores), 2 * len(self._metrics), dtype=torch.float64)
        if self._kept is not None:
            scores = scores.index_select(1, self._kept)
        distances, ascending = self._distances(start, start + len(scores)), _sorted(scores)
        wanted = {zeta for metric in self._metrics for zeta in metric.label_distances}
        by_zeta = {zeta: self._by_zeta(zeta, scores, ascending, distances) for zeta in sorted(wanted)}
        columns = [
            torch.stack([by_zeta[zeta][part][:, :, n] for zeta in metric.label_distances]).mean(dim=0)
            for part in (0, 1)
            for n, metric in enumerate(self._metrics)
        ]
        return torch.stack(columns, dim=2)

    def _by_zeta(self, zeta: int, scores: Tensor, ascending: Tensor, distances: Tensor) -> tuple[Tensor, Tensor]:
        """Values and levels of chance, ``orders queries metrics``, where items within one distance are relevant."""
        relevant = distances <= zeta
        blocks = blocks_of_first_r(scores, ascending, relevant)
        by_index = blocks_of_first_r(scores, ascending, relevant, True) if self._ties == "index" else blocks
        values = values_of_orders(self._metrics, "category", tie_orders(self._ties, blocks, by_index, True))
        random = random_ranking(blocks.all_relevant.cpu().numpy(), scores.shape[1])
        chance = values_of_orders(self._metrics, "category", [random])
        return values, chance.to(values.device).expand_as(values)

    def _distances(self, start: int, stop: int) -> Int16[Tensor, "queries items"]:
        """Number of classes that one of the two images has and the other has not; the most for an unlabelled query."""
        labels, sizes = self._labels[self._queries[start:stop]], self._labels.sum(dim=1)
        own, both = labels.sum(dim=1, keepdim=True), labels @ self._labels.T
        found = (own + sizes - 2 * both).masked_fill(own == 0, _FARTHEST)
        return found.to(torch.int16).index_select(1, self._items)

    def fill(
        self,
        scores: Callable[[int, int], np.ndarray],
        start: int,
        outputs: Float[np.ndarray, "orders queries columns"],
    ) -> Bool[np.ndarray, " queries"]:
        """Fills the columns of a block of queries on the CPU, some queries at a time.

        Args:
            scores: Scores of some queries of the block with every item.
            start: Row of the first query.
            outputs: Receives values, pessimistic and optimistic bounds.

        Returns:
            Queries whose bounds differ.
        """
        for first, last in _pieces(outputs.shape[1], PIECE_SCORES, len(self._items)):
            outputs[:, first:last] = self.values(torch.from_numpy(scores(first, last)), start + first).numpy()
        return np.asarray((outputs[1] != outputs[2]).any(axis=1))

    def block(self, scores: Float[Tensor, "queries items"], start: int) -> Float[Tensor, "orders queries columns"]:
        """As `values` of a large block, some queries at a time."""
        pieces = _pieces(len(scores), DEVICE_PIECE, len(self._items))
        return torch.cat([self.values(scores[first:last], start + first) for first, last in pieces], dim=1)


def _pieces(rows: int, most: int, items: int) -> Iterator[tuple[int, int]]:
    step = max(1, most // max(items, 1))
    return ((first, min(first + step, rows)) for first in range(0, rows, step))


def _sorted(scores: Float[Tensor, "queries items"]) -> Float[Tensor, "queries items"]:
    """Ascending; on the CPU by NumPy, whose sort of values alone takes a thirtieth of the time."""
    if scores.device.type == "cpu":
        return torch.from_numpy(np.sort(scores.numpy(), axis=1))
    return scores.sort(dim=1).values
