"""Blocks of queries on the CPU: a few numba kernels that release the interpreter, in a small pool of threads."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float, UInt64

from fico.codes import HashCodes
from fico.evaluation.columns import task_columns
from fico.evaluation.engines.kernel_outputs import KernelOutputs
from fico.evaluation.engines.label_distances import DistanceColumns
from fico.evaluation.engines.occurrences import CpuOccurrences
from fico.evaluation.engines.other_columns import fill_others, hamming_scores
from fico.evaluation.engines.sorted_keys import SIGNED, SortedKeys
from fico.evaluation.options import EvaluationOptions
from fico.evaluation.relevance import CategoryRetrieval, InstanceRetrieval
from fico.evaluation.state import BlockValues, TaskValues
from fico.metrics.kernels import blocks, codes, floats
from fico.metrics.kernels.compiled import Outputs
from fico.metrics.specification import TASKS, Direction
from fico.similarity import collapse_note

_PIECE = 2**18  # scores per piece of work, whatever the number of threads, so that no sum depends on it

_NO_LABELS = np.zeros((0, 1), dtype=np.uint64)


class ScoreSource(Protocol):
    """Scores by blocks of queries; never NaN."""

    dtype: np.dtype
    notes: tuple[str, ...]

    def block(self, direction: Direction, start: int, stop: int, out: Float[np.ndarray, "queries items"]) -> None:
        """Writes products into ``out`` for the queries from ``start`` to before ``stop``, with all threads."""
        ...

    def finish(self, direction: Direction, start: int, out: Float[np.ndarray, "queries items"]) -> None:
        """Completes the scores of some rows of the block, from query ``start`` on; called by several threads."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class CodeSource:
    """Binary codes of both sides."""

    images: HashCodes
    texts: HashCodes

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know about the codes."""
        sides = (("images", self.images.words), ("texts", self.texts.words))
        found = (collapse_note(name, len(words), 0, bool((words == words[0]).all())) for name, words in sides)
        return tuple(note for note in found if note)


class CpuEngine:
    """Turns blocks of queries of one direction into values per query.

    Args:
        direction: ``i2t`` or ``t2i``.
        instance: Relevance by the correspondence; also the images that queries and items belong to.
        category: Relevance by labels, or None.
        options: What is computed.
        find_fills: Count the items of each query that a re-ranking scored.
        others: Further positives by the name of their task.
    """

    def __init__(
        self,
        direction: Direction,
        instance: InstanceRetrieval,
        category: CategoryRetrieval | None,
        options: EvaluationOptions,
        find_fills: bool = False,
        others: Mapping[str, InstanceRetrieval] | None = None,
    ) -> None:
        self.direction: Direction = direction
        self.options, self.find_fills = options, find_fills
        given = {"instance": instance, **(others or {})}
        self.relevance: dict[str, InstanceRetrieval | CategoryRetrieval] = {**given}
        if category is not None:
            self.relevance["category"] = category
        self.columns = {task: task_columns(options.listed, task) for task in (*TASKS, *(others or ()))}
        self.fused = self.columns["instance"].fused
        self.query_images, self.item_images = instance.images_of(direction)
        self.positives = {task: each.positives(direction) for task, each in given.items()}
        self.are_images, self.items_of_images = instance.are_images(direction), instance.items_of_images(direction)
        self.labels = category.words if category else _NO_LABELS
        items = len(self.item_images)
        self.keys = SortedKeys(self.query_images, self.item_images, self.are_images, self.labels)
        self.occurrences = CpuOccurrences(items)
        self.tables = blocks.tables(items)
        self.piece_rows = max(8, min(64, _PIECE // items))
        self.recall_cuts = np.array(self.fused.recall_at, dtype=np.int64)
        self.cuts = np.array([*(min(k, items) for k in self.fused.map_at), items], dtype=np.int64)
        self.rule = blocks.TIE_RULES.get(options.ties, blocks.EXPECTED)
        self.tasks = (*(task for task in options.tasks if task == "instance" or category), *(others or ()))

    def floats(self, source: ScoreSource, ranges: list[tuple[int, int]], buffer_rows: int) -> Iterator[BlockValues]:
        """Values of each range of queries, from real scores."""
        items = len(self.item_images)
        scores = np.empty((buffer_rows, items), dtype=source.dtype)
        keys = np.empty((buffer_rows if "category" in self.tasks else 0, items), dtype=SIGNED[source.dtype.itemsize])
        if not ranges:
            yield BlockValues(0, self._task_values(self._outputs(0), 0))
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            for start, stop in ranges:
                block = scores[: stop - start]
                source.block(self.direction, start, stop, block)
                yield self._float_block(pool, source, block, keys, start)

    def _float_block(
        self, pool: ThreadPoolExecutor, source: ScoreSource, scores: np.ndarray, keys: np.ndarray, start: int
    ) -> BlockValues:
        output = self._outputs(len(scores))

        def work(first: int, last: int) -> None:
            source.finish(self.direction, start + first, scores[first:last])
            lowest = self._float_rows(scores[first:last], keys[first:last], start + first, output, first, last)
            self.occurrences.add_scores(scores[first:last], lowest)

        _each(pool, len(scores), self.piece_rows, work)
        self._fill_others(output, start, lambda first, last: scores[first:last])
        scored = count_scored(scores) if self.find_fills else None
        if self.options.ties == "index" and output.mixed.any():
            self._break_ties(pool, scores, keys, start, output)
        return BlockValues(start, self._task_values(output, start), scored)

    def _float_rows(
        self, scores: np.ndarray, keys: np.ndarray, start: int, output: KernelOutputs, first: int, last: int
    ) -> np.ndarray | None:
        """Fills the values of some queries; returns the last score before hubness's cut-off, where a sort told it."""
        mixed = output.mixed[first:last]
        for task in self.tasks:
            if task == "category":
                continue
            outputs = output.rows(task, first, last)
            starts, positives = self.positives[task]
            floats.instance_rows(
                scores, starts[start : start + len(scores) + 1], positives, self.rule, self.recall_cuts,
                self.fused.recall == "fraction", self.tables, outputs, mixed,
            )  # fmt: skip
        if "category" not in self.tasks:
            return None
        relevant_counts = output.relevant_counts["category"][first:last]
        lowest = self.keys.fill(scores, start, keys, relevant_counts, self.occurrences.k)
        floats.category_rows(
            keys, relevant_counts, self.rule, self.cuts, blocks.DENOMINATORS[self.fused.ap], self.tables,
            output.rows("category", first, last), mixed,
        )  # fmt: skip
        return lowest

    def _break_ties(
        self, pool: ThreadPoolExecutor, scores: np.ndarray, keys: np.ndarray, start: int, output: KernelOutputs
    ) -> None:
        """Evaluates the tied rows again, each score replaced by its rank where equal scores rank by index."""
        for row in np.flatnonzero(output.mixed):
            order = np.argsort(-scores[row], kind="stable")
            scores[row, order] = -np.arange(len(order), dtype=scores.dtype)
        again = self._outputs(len(scores))
        _each(
            pool,
            len(scores),
            self.piece_rows,
            lambda a, b: self._float_rows(scores[a:b], keys[a:b], start + a, again, a, b),
        )
        output.take_values(again)

    def codes(self, source: CodeSource, ranges: list[tuple[int, int]]) -> Iterator[BlockValues]:
        """Values of each range of queries, from binary codes."""
        queries, items = (source.images, source.texts) if self.direction == "i2t" else (source.texts, source.images)
        words = np.ascontiguousarray(items.words.T)
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            for start, stop in ranges or [(0, 0)]:
                yield self._code_block(pool, queries.words[start:stop], words, queries.bits, start)

    def _code_block(
        self, pool: ThreadPoolExecutor, queries: np.ndarray, words: np.ndarray, bits: int, start: int
    ) -> BlockValues:
        output = self._outputs(len(queries))

        def work(first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
            return self._code_rows(queries[first:last], words, bits, start + first, output, first, last)

        sums = _each(pool, len(queries), max(8, _PIECE // words.shape[1]), work)
        self._fill_others(output, start, lambda first, last: hamming_scores(queries[first:last], words))
        if self.options.ties == "index":
            scores = np.empty((self.piece_rows, len(self.item_images)), dtype=np.float64)
            again = self._outputs(len(queries))
            keys = np.empty_like(scores, dtype=np.int64)
            for first in range(0, len(queries), self.piece_rows):
                rows = slice(0, min(self.piece_rows, len(queries) - first))
                codes.index_ranks(queries[first : first + self.piece_rows], words, bits, scores[rows])
                self._float_rows(scores[rows], keys[rows], start + first, again, first, first + rows.stop)
            output.take_values(again)
        curves = np.array(sums).reshape(-1, 2, bits + 1).transpose(1, 0, 2) if "category" in self.tasks else None
        return BlockValues(start, self._task_values(output, start), None, curves)

    def _code_rows(
        self,
        queries: UInt64[np.ndarray, "queries words"],
        words: UInt64[np.ndarray, "words items"],
        bits: int,
        start: int,
        output: KernelOutputs,
        first: int,
        last: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        precision, recall = np.zeros(bits + 1), np.zeros(bits + 1)
        category, counts = output.rows("category", first, last), np.zeros_like(self.occurrences.counts)
        for task, (starts, positives) in self.positives.items():  # each reads the codes again, which is little work
            is_own = task == "instance"
            codes.code_rows(
                queries, words, self.query_images[start : start + len(queries)], self.items_of_images,
                self.are_images, starts[start : start + len(queries) + 1], positives, self.labels,
                (task in self.tasks, is_own and "category" in self.tasks), self.rule, self.recall_cuts,
                self.fused.recall == "fraction", self.cuts, blocks.DENOMINATORS[self.fused.ap], self.tables,
                output.rows(task, first, last), category, output.mixed[first:last],
                output.relevant_counts["category"][first:last], precision, recall,
                self.occurrences.k if is_own else 0, counts,
            )  # fmt: skip
        self.occurrences.add(counts)
        return precision, recall

    def _outputs(self, queries: int) -> KernelOutputs:
        return KernelOutputs.allocate(queries, self.tasks, self.columns)

    def _fill_others(self, output: KernelOutputs, start: int, scores: Callable[[int, int], np.ndarray]) -> None:
        """Fills the columns of metrics that the kernels do not have."""
        for task, outputs in output.others.items():
            columns, count = self.columns[task], len(self.columns[task].others)
            if columns.by_distance:
                assert isinstance(category := self.relevance[task], CategoryRetrieval)
                parts = (category, self.direction, self.options.ties, torch.device("cpu"))
                distances = DistanceColumns(columns.by_distance, *parts)
                output.mixed |= distances.fill(scores, start, _columns(outputs, slice(count, None)))
            if not count:
                continue

            def relevant(first: int, last: int, task: str = task) -> np.ndarray:
                return self.relevance[task].relevant(self.direction, start + first, start + last)

            plain = _columns(outputs, slice(count))
            fill_others(columns.others, task, self.options.ties, scores, relevant, len(self.item_images), plain)

    def _task_values(self, output: KernelOutputs, start: int) -> dict[str, TaskValues]:
        stop = start + len(output.mixed) + 1
        return output.task_values({task: np.diff(starts[start:stop]) for task, (starts, _) in self.positives.items()})


def _columns(outputs: Outputs, kept: slice) -> Outputs:
    values, low, high = outputs
    return values[:, kept], low[:, kept], high[:, kept]


def count_scored(scores: Float[np.ndarray, "queries items"]) -> np.ndarray:
    """Items of each query that do not hold the fill value of a re-ranking: -100 or minus infinity."""
    lowest = scores.min(axis=1)
    filled = (lowest == -100) | np.isneginf(lowest)
    return np.asarray(np.where(filled, (scores > lowest[:, None]).sum(axis=1), scores.shape[1]))


def _each(pool: ThreadPoolExecutor, rows: int, step: int, work: Callable[[int, int], object]) -> list[Any]:
    """Runs ``work`` on pieces of rows; results in the order of the rows."""
    pieces = [(first, min(first + step, rows)) for first in range(0, rows, step)]
    return list(pool.map(lambda piece: work(*piece), pieces))
