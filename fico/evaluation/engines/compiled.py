"""Blocks of queries on the CPU: a few numba kernels that release the interpreter, in a small pool of threads."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, UInt64

from fico.evaluation.engines.direction import DirectionTasks
from fico.evaluation.engines.kernel_outputs import KernelOutputs
from fico.evaluation.engines.occurrences import CpuOccurrences
from fico.evaluation.engines.sorted_keys import SIGNED, SortedKeys
from fico.evaluation.engines.sources import CodeSource, ScoreSource, count_scored
from fico.evaluation.engines.unfused_columns import fill_unfused, hamming_scores
from fico.evaluation.state import BlockValues
from fico.metrics.kernels import blocks, codes, floats, hits
from fico.metrics.kernels.average_precision import DENOMINATORS

_PIECE = 2**18  # scores per piece of work, whatever the number of threads, so that no sum depends on it
_JOINED = 32  # ranges of queries that make one block of values at most
_JOINED_SCORES = 2**24  # scores of such ranges, where they are floats and pass through one buffer

_NO_LABELS = np.zeros((1, 0), dtype=np.uint64)


class CpuEngine:
    """Turns blocks of queries of one direction into values per query.

    Args:
        tasks: What is evaluated.
        find_fills: Count the items of each query that a re-ranking scored.
    """

    def __init__(self, tasks: DirectionTasks, find_fills: bool = False) -> None:
        self.tasks, self.find_fills, items = tasks, find_fills, tasks.items
        self.labels = np.ascontiguousarray(tasks.category.words.T) if tasks.category else _NO_LABELS
        self.are_images = tasks.instance.are_images(tasks.direction)
        self.keys = SortedKeys(tasks.query_images, tasks.item_images, self.are_images, self.labels)
        self.occurrences = CpuOccurrences(items)
        self.distances = tasks.distance_columns(torch.device("cpu"))
        self.piece_rows = max(8, min(64, _PIECE // items))
        cuts = np.array([*(min(k, items) for k in tasks.fused.map_at), items], dtype=np.int64)
        self.category = (cuts, DENOMINATORS[tasks.fused.ap], blocks.tables(items))

    def floats(self, source: ScoreSource, ranges: list[tuple[int, int]], buffer_rows: int) -> Iterator[BlockValues]:
        """Values of each range of queries, from real scores."""
        items, is_sorted = self.tasks.items, "category" in self.tasks.names
        scores = np.empty((buffer_rows, items), dtype=source.dtype)
        keys = np.empty((buffer_rows if is_sorted else 0, items), dtype=SIGNED[source.dtype.itemsize])
        fitting = min(_JOINED, max(1, _JOINED_SCORES // max(1, scores.size)))
        joined = 1 if self.tasks.options.ties == "index" else fitting
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            for n in range(0, max(1, len(ranges)), joined):
                yield self._float_block(pool, source, scores, keys, ranges[n : n + joined] or [(0, 0)])

    def _float_block(
        self,
        pool: ThreadPoolExecutor,
        source: ScoreSource,
        buffer: np.ndarray,
        keys: np.ndarray,
        ranges: list[tuple[int, int]],
    ) -> BlockValues:
        """One block of several ranges: the formulas over its tied blocks cost much the same for few queries."""
        origin = ranges[0][0]
        output, scored = KernelOutputs(self.tasks, origin, ranges[-1][1] - origin), []
        for start, stop in ranges:
            scores = buffer[: stop - start]
            if stop > start:
                source.block(self.tasks.direction, start, stop, scores)

            def rows_of(first: int, last: int, scores: np.ndarray = scores) -> np.ndarray:
                return scores[first:last]

            def work(first: int, last: int, start: int = start, scores: np.ndarray = scores) -> None:
                source.finish(self.tasks.direction, start + first, scores[first:last])
                rows, done = (scores[first:last], keys[first:last]), start - origin
                lowest = self._float_rows(*rows, start + first, output, done + first, done + last)
                self.occurrences.add_scores(scores[first:last], lowest)

            _each(pool, _pieces(0, len(scores), self.piece_rows), work)
            self._fill_unfused(output, start, stop, rows_of)
            scored.append(count_scored(scores) if self.find_fills else np.empty(0, np.int64))
        by_index = output
        if self.tasks.options.ties == "index" and output.mixed.any():
            by_index = self._break_ties(pool, scores, keys, origin, output.mixed)
        return BlockValues(origin, output.task_values(by_index), np.concatenate(scored) if self.find_fills else None)

    def _float_rows(
        self, scores: np.ndarray, keys: np.ndarray, start: int, output: KernelOutputs, first: int, last: int
    ) -> np.ndarray | None:
        """Fills the values of some queries; returns the last score before hubness's cut-off, where a sort gave it."""
        mixed, items = output.mixed[first:last], self.tasks.items
        for task, positives in output.positives.items():
            if task in self.tasks.names:
                floats.count_positives(scores, *positives.arguments(first, last), mixed)
        if "category" not in self.tasks.names:
            return None
        counts = output.relevant_counts[first:last]
        lowest = self.keys.fill(scores, start, keys, counts, self.occurrences.k)
        above, tied, precisions = np.empty(items + 1, np.int64), np.empty((4, items), np.int64), np.empty((2, items))
        values = output.category[:, first:last]
        hits.category_of_keys(keys, counts, *self.category, values, mixed, above, tied, precisions)
        return lowest

    def _break_ties(
        self, pool: ThreadPoolExecutor, scores: np.ndarray, keys: np.ndarray, start: int, mixed: np.ndarray
    ) -> KernelOutputs:
        """Evaluates the queries again, in mixed rows with each score replaced by its rank, equal ones by index."""
        for row in np.flatnonzero(mixed):
            order = np.argsort(-scores[row], kind="stable")
            scores[row, order] = -np.arange(len(order), dtype=scores.dtype)
        again = KernelOutputs(self.tasks, start, len(scores))

        def work(first: int, last: int) -> None:
            self._float_rows(scores[first:last], keys[first:last], start + first, again, first, last)

        _each(pool, _pieces(0, len(scores), self.piece_rows), work)
        return again

    def codes(self, source: CodeSource, ranges: list[tuple[int, int]]) -> Iterator[BlockValues]:
        """Values of each range of queries, from binary codes."""
        sides = (source.images, source.texts)
        queries, items = sides if self.tasks.direction == "i2t" else sides[::-1]
        words = np.ascontiguousarray(items.words.T)
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            for n in range(0, max(1, len(ranges)), _JOINED):
                several = ranges[n : n + _JOINED] or [(0, 0)]
                yield self._code_block(
                    pool, queries.words[several[0][0] : several[-1][1]], words, queries.bits, several
                )

    def _code_block(
        self,
        pool: ThreadPoolExecutor,
        queries: np.ndarray,
        words: np.ndarray,
        bits: int,
        ranges: list[tuple[int, int]],
    ) -> BlockValues:
        start = ranges[0][0]
        output = KernelOutputs(self.tasks, start, len(queries))

        def work(first: int, last: int) -> Float64[np.ndarray, "2 radii"]:
            return self._code_rows(queries[first:last], words, bits, start + first, output, first, last)

        step = max(8, _PIECE // words.shape[1])
        sums = _each(
            pool, [piece for first, last in ranges for piece in _pieces(first - start, last - start, step)], work
        )
        stop = start + len(queries)
        self._fill_unfused(output, start, stop, lambda first, last: hamming_scores(queries[first:last], words))
        by_index = output
        if self.tasks.options.ties == "index":
            by_index = self._rank_codes(queries, words, bits, start)
        has_curves = "category" in self.tasks.names
        curves = np.reshape(sums, (-1, 2, bits + 1)).transpose(1, 0, 2) if has_curves else None
        return BlockValues(start, output.task_values(by_index), None, curves)

    def _code_rows(
        self,
        queries: UInt64[np.ndarray, "queries words"],
        words: UInt64[np.ndarray, "words items"],
        bits: int,
        start: int,
        output: KernelOutputs,
        first: int,
        last: int,
    ) -> Float64[np.ndarray, "2 radii"]:
        """Fills the values of some queries; returns their sums of precision and of recall within each radius."""
        items, mixed, occurrences = self.tasks.items, output.mixed[first:last], np.zeros_like(self.occurrences.counts)
        counts = np.empty((len(queries), bits + 1), np.int64)
        relevant = np.zeros((len(queries) if "category" in self.tasks.names else 0, bits + 1), np.int64)
        distances, ways = np.empty(items, np.uint16), np.empty((8, bits + 1), np.int32)
        by_image, found = np.empty(self.labels.shape[1], np.uint8), np.empty(items + 1, np.int64)
        images = self.tasks.query_images[start : start + len(queries)]
        captions = self.tasks.instance.items_of_images(self.tasks.direction)
        for task, positives in output.positives.items():  # each reads the codes again, which is little work
            is_own, is_listed = task == "instance", task in self.tasks.names
            codes.count_codes(
                queries, words, images, *captions, self.are_images, self.labels,
                self.occurrences.k if is_own else 0, *positives.arguments(first, last),
                mixed if is_listed else mixed.copy(), counts,
                relevant if is_own else relevant[:0], occurrences, distances, ways, by_image, found,
            )  # fmt: skip
        self.occurrences.add(occurrences)
        curves = np.zeros((2, bits + 1))
        if len(relevant):
            output.relevant_counts[first:last] = relevant.sum(axis=1)
            values, tied = output.category[:, first:last], np.empty((4, bits + 1), np.int64)
            blocks.category_of_counts(counts, relevant, *self.category, values, mixed, curves, tied)
        return curves

    def _rank_codes(self, queries: np.ndarray, words: np.ndarray, bits: int, start: int) -> KernelOutputs:
        """Evaluates the queries again, by scores that are ranks, equal distances by index."""
        again, items = KernelOutputs(self.tasks, start, len(queries)), self.tasks.items
        scores = np.empty((self.piece_rows, items))
        keys = np.empty_like(scores, dtype=np.int64)
        for first, last in _pieces(0, len(queries), self.piece_rows):
            rows = slice(0, last - first)
            codes.index_ranks(queries[first:last], words, bits, scores[rows])
            self._float_rows(scores[rows], keys[rows], start + first, again, first, last)
        return again

    def _fill_unfused(
        self, output: KernelOutputs, start: int, stop: int, scores: Callable[[int, int], np.ndarray]
    ) -> None:
        """Fills the columns of metrics that the kernels do not have, for some of the queries."""
        rows = slice(start - output.start, stop - output.start)
        for task, of_all in output.others.items():
            values = of_all[:, rows]
            columns = self.tasks.columns[task]
            count = len(columns.others)
            if columns.by_distance and self.distances is not None:
                output.mixed[rows] |= self.distances.fill(scores, start, values[:, :, count:])
            if count:
                relevance, plain = self.tasks.relevance(task), values[:, :, :count]

                def relevant(first: int, last: int, of: Any = relevance) -> np.ndarray:
                    found: np.ndarray = of.relevant(self.tasks.direction, start + first, start + last)
                    return found

                ties = self.tasks.options.ties
                fill_unfused(columns.others, task, ties, scores, relevant, self.tasks.items, plain)


def _pieces(start: int, stop: int, step: int) -> list[tuple[int, int]]:
    return [(first, min(first + step, stop)) for first in range(start, stop, step)]


def _each(pool: ThreadPoolExecutor, pieces: list[tuple[int, int]], work: Callable[[int, int], object]) -> list[Any]:
    """Runs ``work`` on pieces of rows; results in their order."""
    return list(pool.map(lambda piece: work(*piece), pieces))
