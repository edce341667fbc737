"""One evaluation from checked inputs to its result: folds, blocks of queries, and the shard of a process."""

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fico.correspondence import Correspondence
from fico.errors import UsageError
from fico.evaluation.database.relevance import database_options
from fico.evaluation.engines.compiled import CpuEngine
from fico.evaluation.engines.device_memory import plan_device
from fico.evaluation.engines.direction import DirectionTasks
from fico.evaluation.engines.sources import CodeSource
from fico.evaluation.folds import Fold, check_positives, make_folds
from fico.evaluation.literature import add_literature
from fico.evaluation.memory import MemoryPlan, plan_memory
from fico.evaluation.options import EvaluationOptions
from fico.evaluation.relevance import check_labels
from fico.evaluation.result import RetrievalResult
from fico.evaluation.state import BlockValues, DirectionState, EvaluationState, FoldState, join_blocks
from fico.evaluation.summary import summarise
from fico.metrics.specification import DIRECTIONS, Direction
from fico.util.progress import ProgressBar

if TYPE_CHECKING:
    from fico.evaluation.engines.torch_engine import TensorEngine

Source = Callable[[Fold, MemoryPlan], Mapping[Direction, Any]]
_LOG = logging.getLogger(__name__)
_LOGGED_BYTES = 2**26  # predicted memory from which on the size of an evaluation is logged for everybody


class Evaluator:
    """One evaluation: its folds, the blocks of queries of its shard, and their values.

    Args:
        correspondence: The image row of each caption or pairs, checked.
        images: Number of images.
        dim: Width of the embeddings; 0 for score matrices, in which the fill value of a re-ranking is looked for.
        dtype: Precision of the scores.
        labels: Multi-hot ``images classes``, or None.
        options: What is computed, and how.
        device: The torch device that computes; None for the compiled kernels of the CPU.
        is_codes: The embeddings are binary codes.
        positives: Further positives of the same images and captions by the name of their task.

    Raises:
        DataError: Labels of another shape, or values other than 0 and 1; captions without a source image, where labels
            or folds need one.
        UsageError: The category task has no labels, or further positives have no usable name.
    """

    def __init__(
        self,
        correspondence: Correspondence,
        images: int,
        dim: int,
        dtype: np.dtype,
        labels: Any,
        options: EvaluationOptions,
        device: torch.device | None = None,
        is_codes: bool = False,
        positives: Mapping[str, Correspondence] | None = None,
    ) -> None:
        if labels is None and options.tasks == ("category",):
            raise UsageError("the category task has no labels; give labels=, multi-hot images x classes")
        self.correspondence, self.images, self.dim, self.dtype = correspondence, images, dim, dtype
        self.labels = None if labels is None else check_labels(_numpy(labels), images)
        is_many = bool(positives) or correspondence.pairs is not None
        options = options.with_many_positives() if is_many else options
        self.options, self._notes = database_options(correspondence, images, options, self.labels is not None)
        self.device, self.is_codes = device, is_codes
        self.positives = dict(positives or {})
        check_positives(correspondence, self.positives, images, options.folds, self.labels is not None)

    def evaluate(self, source: Source, directions: tuple[Direction, ...] = DIRECTIONS) -> RetrievalResult:
        """Evaluates every fold; against a database also by the definitions of the hashing literature.

        Args:
            source: Makes the scores of each direction of a fold under a memory plan.
            directions: Which of the two.

        Raises:
            DataError: A fold has no captions, scores hold NaN, or a query is empty under ``empty="error"``.
            UsageError: There are more folds than images, or nothing fits into the memory limit.
        """
        found = self._evaluate(source, directions)
        if self.correspondence.database is None:
            return found

        def evaluate(options: EvaluationOptions) -> RetrievalResult:
            again = copy(self)
            again.options = options
            return again._evaluate(source, directions)

        return add_literature(found, self.options, evaluate)

    def _evaluate(self, source: Source, directions: tuple[Direction, ...]) -> RetrievalResult:
        folds = list(self._folds())
        pairs = sum(math.prod(map(len, fold.rows(direction))) for fold in folds for direction in directions)
        total = pairs // self.options.shard[1]
        with ProgressBar(total, "evaluate", is_shown=self.options.progress) as bar:
            states = tuple(self._fold(fold, source, directions, bar) for fold in folds)
        notes = tuple(dict.fromkeys([*self._notes, *(note for fold in states for note in fold.notes)]))
        return summarise(
            EvaluationState(self.options, states, self.options.shard, notes, self.correspondence.pairs is not None)
        )

    def _folds(self) -> Iterator[Fold]:
        labels = self.labels if "category" in self.options.tasks else None
        return make_folds(self.correspondence, self.images, labels, self.positives, self.options.folds)

    def _fold(
        self,
        fold: Fold,
        source: Source,
        directions: tuple[Direction, ...],
        bar: ProgressBar,
    ) -> FoldState:
        images, texts = len(fold.image_rows), len(fold.text_rows)
        if self.device is None:
            sizes = None if fold.database is None else (len(fold.database[0]), len(fold.database[1]))
            plan = plan_memory(images, texts, self.dim, self.dtype, self.options, len(fold.others), sizes)
        else:
            classes = 0 if fold.category is None else fold.category.labels.shape[1]
            plan = plan_device(
                fold.instance, self.dim, self.dtype, self.options, self.device, is_codes=self.is_codes, classes=classes,
                others=tuple(fold.others.values()),
            )  # fmt: skip
        level = logging.INFO if plan.predicted_bytes > _LOGGED_BYTES else logging.DEBUG
        _LOG.log(level, "%d images, %d captions: at most %.0f MiB", images, texts, plan.predicted_bytes / 2**20)
        scores, states = source(fold, plan), {}
        for direction in directions:
            rows = plan.i2t_rows if direction == "i2t" else plan.t2i_rows
            query_images, item_images = fold.instance.images_of(direction)
            blocks = []
            engine = self._engine(fold, direction)
            for block in self._values(engine, scores[direction], self._ranges(len(query_images), rows), rows):
                blocks.append(block)
                bar.advance(block.queries * len(item_images))
            clusters = fold.instance.clusters(direction)
            values = join_blocks(blocks)
            states[direction] = DirectionState(clusters, len(item_images), values, engine.occurrences.counts)
        notes = tuple(dict.fromkeys(note for found in scores.values() for note in found.notes))
        return FoldState(fold.image_rows, fold.text_rows, states, notes, fold.database)

    def _ranges(self, queries: int, rows: int) -> list[tuple[int, int]]:
        """Blocks of this process's shard; on the CPU their limits do not depend on the number of processes."""
        rank, world = self.options.shard
        if self.device is not None:  # few large blocks, as many queries for each process
            first, last = (queries * n // world for n in (rank, rank + 1))
            return [(start, min(start + rows, last)) for start in range(first, last, rows)]
        ranges = [(first, min(first + rows, queries)) for first in range(0, queries, rows)]
        return ranges[len(ranges) * rank // world : len(ranges) * (rank + 1) // world]

    def _engine(self, fold: Fold, direction: Direction) -> "CpuEngine | TensorEngine":
        tasks = DirectionTasks(direction, fold.instance, fold.category, self.options, fold.others)
        if self.device is None:
            return CpuEngine(tasks, find_fills=self.dim == 0)
        # an evaluation by the kernels of the CPU does without it and what it imports
        from fico.evaluation.engines.torch_engine import TensorEngine

        return TensorEngine(tasks, self.device)

    @staticmethod
    def _values(
        engine: "CpuEngine | TensorEngine", scores: Any, ranges: list[tuple[int, int]], rows: int
    ) -> Iterator[BlockValues]:
        if not isinstance(engine, CpuEngine):
            return engine.blocks(scores, ranges)
        return engine.codes(scores, ranges) if isinstance(scores, CodeSource) else engine.floats(scores, ranges, rows)


def find_device(array: np.ndarray | Tensor, options: EvaluationOptions) -> torch.device | None:
    """The torch device to compute on, or None for the compiled kernels of the CPU.

    Raises:
        UsageError: The device is not there, torch knows none of that name, or the kernels cannot run on it.
    """
    name, engine = options.device, options.engine
    try:
        found = (array.device if isinstance(array, Tensor) else torch.device("cpu")) if name == "auto" else None
        found = found or torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"device={name!r} is not a device of torch; give auto, cpu or cuda") from error
    if found.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"device={name!r} needs a CUDA device, and torch finds none; give device='cpu'")
    if engine == "compiled" and found.type != "cpu":
        raise UsageError(f"engine='compiled' runs on the CPU, got device {found}; give device='cpu' or engine='auto'")
    return None if engine != "torch" and found.type == "cpu" else found


def _numpy(labels: Any) -> np.ndarray:
    return labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
