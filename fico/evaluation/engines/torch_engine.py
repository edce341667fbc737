"""Blocks of queries on a GPU (or any torch device): a few large blocks, one pass or one sort each.

A task's ranking is reduced to its tied blocks with relevant items, from which the pure metric functions give every
value in closed form. Where those are few per query they are found by counting, those of codes by counting items per
distance, and all others by one sort.
"""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from fico.evaluation.engines.direction import DirectionTasks
from fico.evaluation.engines.fused_values import fused_values
from fico.evaluation.engines.occurrences import TensorOccurrences
from fico.evaluation.engines.tensor_scores import DeviceScores
from fico.evaluation.engines.unfused_columns import tie_orders, values_of_orders
from fico.evaluation.relevance import InstanceRetrieval
from fico.evaluation.state import BlockValues, TaskValues
from fico.metrics.counted_blocks import MOST_COUNTED, blocks_of_counts, count_blocks
from fico.metrics.precision_recall import precision_recall_of_counts
from fico.metrics.specification import Direction
from fico.metrics.ties import (
    TiedBlocks,
    block_ends,
    blocks_of_positions,
    blocks_of_ranking,
    refuse_nan,
)

Rankings = dict[str, tuple[TiedBlocks, TiedBlocks]]  # with ties, and as ties="index" orders them


class TensorEngine:
    """Turns blocks of queries of one direction into values per query.

    Args:
        tasks: What is evaluated.
        device: Where it is computed.
    """

    def __init__(self, tasks: DirectionTasks, device: torch.device) -> None:
        self.tasks, self.device, self.ties = tasks, device, tasks.options.ties
        self.images = [torch.from_numpy(side).to(device) for side in (tasks.query_images, tasks.item_images)]
        self.are_images = tasks.instance.are_images(tasks.direction)
        self.occurrences = TensorOccurrences(tasks.items, device)
        self.positives = {task: _Positives(each, tasks.direction, device) for task, each in tasks.positives.items()}
        self.labels = torch.from_numpy(tasks.category.labels).to(device).float() if tasks.category else None
        self.distances = tasks.distance_columns(device)

    @torch.no_grad()
    def blocks(self, source: DeviceScores, ranges: list[tuple[int, int]]) -> Iterator[BlockValues]:
        """Values of each range of queries."""
        for start, stop in ranges:
            yield self._block(source, start, stop)  # keeps nothing of the block before
        if not ranges:
            yield BlockValues(0, {task: self._no_queries(task) for task in self.tasks.names})

    def _block(self, source: DeviceScores, start: int, stop: int) -> BlockValues:
        if source.bits is not None:
            rankings, curves = self._rank_codes(source, start, stop)
        else:
            rankings, curves = self._rank(self._scores(source, start, stop), start, stop), None
        apart = None
        if self.distances is not None:  # computed again, so that no scores are kept beside the rankings' sort
            apart = self.distances.block(source.scores(self.tasks.direction, start, stop), start)
        return BlockValues(
            start, self._tasks(rankings, apart), source.scored(self.tasks.direction, start, stop), curves
        )

    def _scores(self, source: DeviceScores, start: int, stop: int) -> Float[Tensor, "queries items"]:
        scores = source.scores(self.tasks.direction, start, stop)
        refuse_nan(scores)
        self.occurrences.add_scores(scores)
        return scores

    def _rank(self, scores: Float[Tensor, "queries items"], start: int, stop: int) -> Rankings:
        """Rankings by scores."""
        by_index = self.ties == "index"
        rankings: Rankings = {}
        for task, given in self.positives.items():
            if task in self.tasks.names and given.table is not None:
                positives = given.table[start:stop]
                blocks = count_blocks(scores, positives)
                rankings[task] = (blocks, count_blocks(scores, positives, by_index=True) if by_index else blocks)
        others = [task for task in self.tasks.names if task not in rankings]
        if others:
            ordered, indices = scores.sort(dim=1, descending=True, stable=by_index)
            del scores
            ends = block_ends(ordered)
            hits = {task: self._relevant(task, start, stop).gather(1, indices) for task in others}
            del ordered, indices
            for task in others:
                blocks = blocks_of_ranking(ends, hits[task])
                rankings[task] = (blocks, blocks_of_positions(hits[task]) if by_index else blocks)
        return rankings

    def _rank_codes(self, source: DeviceScores, start: int, stop: int) -> tuple[Rankings, np.ndarray | None]:
        """Rankings by Hamming distance, and the sums of precision and recall within each radius."""
        scores, bits = self._scores(source, start, stop), source.bits or 0
        queries, items = scores.shape
        rankings = self._rank(scores, start, stop) if self.ties == "index" else {}
        cells = scores.mul_(-0.5).add_(bits / 2).int()  # distances; the scores are products of +1 and -1
        del scores
        cells += (bits + 1) * torch.arange(queries, dtype=torch.int32, device=self.device)[:, None]
        cell_count = queries * (bits + 1)
        counts = torch.bincount(cells.flatten(), minlength=cell_count).view(queries, -1)
        curves = None
        for task in self.tasks.names:
            hits = cells.masked_select(self._relevant(task, start, stop))
            relevant = torch.bincount(hits, minlength=cell_count).view(queries, -1)
            blocks = blocks_of_counts(counts, relevant, items)
            rankings.setdefault(task, (blocks, blocks))
            if task == "category":
                sums = [curve.sum(dim=0) for curve in precision_recall_of_counts(counts, relevant)]
                curves = torch.stack(sums)[:, None].cpu().numpy()
        return rankings, curves

    def _relevant(self, task: str, start: int, stop: int) -> Bool[Tensor, "queries items"]:
        queries, items = self.images[0][start:stop], self.images[1]
        if task in self.positives or self.labels is None:
            return self.positives[task].relevant(start, stop, len(items))
        relevant = self.labels[queries] @ self.labels.T > 0
        return relevant if self.are_images else relevant[:, items]

    def _tasks(
        self, rankings: Rankings, apart: Float[Tensor, "orders queries columns"] | None
    ) -> dict[str, TaskValues]:
        """Values of every task; ``apart`` are the columns of the category task by label distance."""
        is_mixed = any(bool(blocks.is_mixed.any()) for blocks, _ in rankings.values())
        is_mixed = is_mixed or (apart is not None and not bool((apart[1] == apart[2]).all()))
        apart_of = {"category": apart}
        return {task: self._values(task, *rankings[task], is_mixed, apart_of.get(task)) for task in self.tasks.names}

    def _values(
        self, task: str, blocks: TiedBlocks, by_index: TiedBlocks, is_mixed: bool, apart: Tensor | None
    ) -> TaskValues:
        """Values under the tie rule, and in the pessimistic and the optimistic order if some block is mixed."""
        orders, columns = tie_orders(self.ties, blocks, by_index, is_mixed), self.tasks.columns[task]
        fused = fused_values(self.tasks.fused, task, orders).cpu().numpy()
        others = [values_of_orders(columns.others, task, orders)] if columns.others else []
        others += [] if apart is None else [apart[: len(orders)]]
        counts = blocks.all_relevant.long().cpu().numpy()
        return self.tasks.values(task, counts, fused, torch.cat(others, dim=2).cpu().numpy() if others else None)

    def _no_queries(self, task: str) -> TaskValues:
        return TaskValues(np.zeros(0, dtype=np.int64), np.zeros((0, len(self.tasks.columns[task].names))), None)


class _Positives:
    """Positives of every query of a direction on a device.

    Args:
        instance: Which they are.
        direction: Which queries.
        device: Where they go.
    """

    def __init__(self, instance: InstanceRetrieval, direction: Direction, device: torch.device) -> None:
        starts, items = instance.positives(direction)
        self._starts = starts.tolist()
        counts = np.diff(starts)
        self._queries = torch.from_numpy(np.repeat(np.arange(len(counts)), counts)).to(device)
        self._items = torch.from_numpy(items).to(device)
        self.table = _table(counts, items, device)

    def relevant(self, start: int, stop: int, items: int) -> Bool[Tensor, "queries items"]:
        """Relevance of all items to the queries from ``start`` to before ``stop``."""
        pairs = slice(self._starts[start], self._starts[stop])
        relevant = torch.zeros(stop - start, items, dtype=torch.bool, device=self._items.device)
        relevant[self._queries[pairs] - start, self._items[pairs]] = True
        return relevant


def _table(
    counts: Int64[np.ndarray, " queries"], items: Int64[np.ndarray, " pairs"], device: torch.device
) -> Int64[Tensor, "queries most"] | None:
    """Relevant items of each query, filled with -1; None where a query has too many to count for each."""
    most = max(1, int(counts.max(initial=0)))
    if most > MOST_COUNTED:
        return None
    table = np.full((len(counts), most), -1, dtype=np.int64)
    table[np.arange(most) < counts[:, None]] = items  # items lie query after query
    return torch.from_numpy(table).to(device)
