"""Blocks of queries on a GPU (or any torch device): a few large blocks, one pass or one sort each.

A task's ranking is reduced to its tied blocks with relevant items, from which the pure metric functions give every
value in closed form. Where those are few per query they are found by counting, those of codes by counting items per
distance, and all others by one sort.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from fico.evaluation.columns import task_columns
from fico.evaluation.engines.label_distances import DistanceColumns
from fico.evaluation.engines.occurrences import TensorOccurrences
from fico.evaluation.engines.other_columns import tie_orders, values_of_orders
from fico.evaluation.engines.tensor_scores import DeviceScores
from fico.evaluation.options import EvaluationOptions
from fico.evaluation.relevance import CategoryRetrieval, InstanceRetrieval
from fico.evaluation.state import BlockValues, TaskValues
from fico.metrics.at_all_relevant import ap_at_r_of_ranking, r_precision_of_ranking
from fico.metrics.average_precision import ap_of_ranking
from fico.metrics.ndcg import ndcg_of_ranking
from fico.metrics.precision_recall import precision_of_ranking, precision_recall_of_counts
from fico.metrics.rank import expected_rank, expected_reciprocal
from fico.metrics.recall import any_found, fraction_found
from fico.metrics.specification import Direction
from fico.metrics.ties import (
    MOST_COUNTED,
    TiedBlocks,
    block_ends,
    blocks_of_counts,
    blocks_of_positions,
    blocks_of_ranking,
    count_blocks,
    join_rankings,
    refuse_nan,
)

_JOINED = 1.1  # tied blocks per score up to which three orders at once need less memory than the sort did
_HEAD = 8  # cut-offs within this fraction of the gallery need the heads of the rankings alone
Rankings = dict[str, tuple[TiedBlocks, TiedBlocks]]  # with ties, and as ties="index" orders them


class TensorEngine:
    """Turns blocks of queries of one direction into values per query; arguments as for ``CpuEngine``."""

    def __init__(
        self,
        direction: Direction,
        instance: InstanceRetrieval,
        category: CategoryRetrieval | None,
        options: EvaluationOptions,
        device: torch.device,
        others: Mapping[str, InstanceRetrieval] | None = None,
    ) -> None:
        self.direction: Direction = direction
        self.options, self.device = options, device
        self.images = [torch.from_numpy(side).to(device) for side in instance.images_of(direction)]
        self.are_images = instance.are_images(direction)
        self.occurrences = TensorOccurrences(len(self.images[1]), device)
        self.positives = {
            task: _Positives(each, direction, device) for task, each in {"instance": instance, **(others or {})}.items()
        }
        self.labels = torch.from_numpy(category.labels).to(device).float() if category else None
        self.tasks = (*(task for task in options.tasks if task == "instance" or category), *(others or ()))
        self.columns = {task: task_columns(options.listed, task) for task in self.tasks}
        by_distance = self.columns["category"].by_distance if "category" in self.tasks else ()
        self.distances = (
            DistanceColumns(by_distance, category, direction, options.ties, device)
            if by_distance and category
            else None
        )
        self.fused = next(iter(self.columns.values())).fused

    @torch.no_grad()
    def blocks(self, source: DeviceScores, ranges: list[tuple[int, int]]) -> Iterator[BlockValues]:
        """Values of each range of queries."""
        for start, stop in ranges:
            yield self._block(source, start, stop)  # keeps nothing of the block before
        if not ranges:
            yield BlockValues(0, {task: self._no_queries(task) for task in self.tasks})

    def _block(self, source: DeviceScores, start: int, stop: int) -> BlockValues:
        if source.bits is not None:
            rankings, curves = self._rank_codes(source, start, stop)
        else:
            rankings, curves = self._rank(self._scores(source, start, stop), start, stop), None
        apart = None
        if self.distances is not None:  # computed again, so that no scores are kept beside the rankings' sort
            apart = self.distances.block(source.scores(self.direction, start, stop), start)
        return BlockValues(start, self._tasks(rankings, apart), source.scored(self.direction, start, stop), curves)

    def _scores(self, source: DeviceScores, start: int, stop: int) -> Float[Tensor, "queries items"]:
        scores = source.scores(self.direction, start, stop)
        refuse_nan(scores)
        self.occurrences.add_scores(scores)
        return scores

    def _rank(self, scores: Float[Tensor, "queries items"], start: int, stop: int) -> Rankings:
        """Rankings by scores."""
        by_index = self.options.ties == "index"
        rankings: Rankings = {}
        for task, given in self.positives.items():
            if task in self.tasks and given.table is not None:
                positives = given.table[start:stop]
                blocks = count_blocks(scores, positives)
                rankings[task] = (blocks, count_blocks(scores, positives, by_index=True) if by_index else blocks)
        others = [task for task in self.tasks if task not in rankings]
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
        rankings = self._rank(scores, start, stop) if self.options.ties == "index" else {}
        cells = scores.mul_(-0.5).add_(bits / 2).int()  # distances; the scores are products of +1 and -1
        del scores
        cells += (bits + 1) * torch.arange(queries, dtype=torch.int32, device=self.device)[:, None]
        cell_count = queries * (bits + 1)
        counts = torch.bincount(cells.flatten(), minlength=cell_count).view(queries, -1)
        curves = None
        for task in self.tasks:
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
        return {task: self._values(task, *rankings[task], is_mixed, apart_of.get(task)) for task in self.tasks}

    def _values(
        self, task: str, blocks: TiedBlocks, by_index: TiedBlocks, is_mixed: bool, apart: Tensor | None
    ) -> TaskValues:
        """Values under the tie rule, and in the pessimistic and the optimistic order if some block is mixed."""
        orders, columns = tie_orders(self.options.ties, blocks, by_index, is_mixed), self.columns[task]
        fused = (self._category if task == "category" else self._instance)(orders).cpu().numpy()
        others = [values_of_orders(columns.others, task, orders)] if columns.others else []
        others += [] if apart is None else [apart[: len(orders)]]
        values = columns.select(fused, torch.cat(others, dim=2).cpu().numpy() if others else None)
        counts = blocks.all_relevant.long().cpu().numpy()
        return TaskValues(counts, values[0], (values[1], values[2]) if is_mixed else None)

    def _category(self, orders: list[TiedBlocks]) -> Float[Tensor, "orders queries columns"]:
        """Values of the same rankings in several orders, at once; whole rankings one order at a time if large."""
        items, ap = orders[0].items, self.fused.ap
        shallow = [k for k in self.fused.map_at if k <= items // _HEAD]
        deep = [*self.fused.map_at[len(shallow) :], None]
        is_small = sum(len(order.above) for order in orders) <= _JOINED * len(orders[0].all_relevant) * items
        parts = [join_rankings(orders)] if is_small else orders
        head = join_rankings([part.until(max([10, *shallow])) for part in parts])
        first = [ap_of_ranking(head, k, ap) for k in shallow]
        whole = torch.cat([
            torch.stack([*(ap_of_ranking(part, k, ap) for k in deep), *precision_of_ranking(part).T], dim=1)
            for part in parts
        ])  # fmt: skip
        columns = [*(column[:, None] for column in first), whole, ndcg_of_ranking(head, 10)[:, None]]
        return torch.cat(columns, dim=1).view(len(orders), -1, self.fused.count("category"))

    def _instance(self, orders: list[TiedBlocks]) -> Float[Tensor, "orders queries columns"]:
        fused, ranking = self.fused, join_rankings(orders)
        first = ranking.first()
        if fused.recall == "fraction":
            columns = [fraction_found(ranking, k) for k in fused.recall_at]
        else:
            cuts = torch.tensor(fused.recall_at, dtype=torch.int64, device=self.device)
            above, others, hits = (part[:, None] for part in first)
            columns = list(any_found(above, others, hits, cuts).T)
        columns += [expected_rank(*first), expected_reciprocal(*first), ndcg_of_ranking(ranking, 10)]
        columns += [ap_at_r_of_ranking(ranking), r_precision_of_ranking(ranking)]
        values = torch.stack(columns, dim=1).masked_fill((ranking.all_relevant == 0)[:, None], torch.nan)
        return values.view(len(orders), -1, values.shape[1])

    def _no_queries(self, task: str) -> TaskValues:
        return TaskValues(np.zeros(0, dtype=np.int64), np.zeros((0, len(self.columns[task].names))), None)


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
