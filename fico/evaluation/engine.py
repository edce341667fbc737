"""One evaluation from checked inputs to its state: folds, blocks of queries, and a process's share of them."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fico.errors import DataError, UsageError
from fico.evaluation.category import CategoryRetrieval, check_labels
from fico.evaluation.engine_cpu import CodeSource, CpuEngine
from fico.evaluation.engine_torch import TensorEngine, TensorScores
from fico.evaluation.instance import InstanceRetrieval
from fico.evaluation.memory import MemoryPlan, plan_memory
from fico.evaluation.result import BlockValues, DirectionState, EvaluationState, FoldState, RetrievalResult, join_blocks
from fico.evaluation.summary import summarise
from fico.metrics.options import EvaluationOptions
from fico.metrics.specification import Direction
from fico.types import Correspondence
from fico.util.progress import ProgressBar

_LOG = logging.getLogger(__name__)
_WORTH_TELLING = 2**26  # bytes of memory beyond the embeddings


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """Contiguous images with all their captions, a gallery of its own.

    Args:
        image_rows: Rows of its images in the whole set.
        text_rows: Rows of its captions in the whole set.
        instance: Own items, rows counted within the fold.
        category: Shared labels, or None.
    """

    image_rows: np.ndarray
    text_rows: np.ndarray
    instance: InstanceRetrieval
    category: CategoryRetrieval | None


class Run:
    """One evaluation: folds, blocks, share and the state they leave.

    Args:
        correspondence: The image row of each caption, checked.
        images: Number of images.
        dim: Width of the embeddings; 0 for given scores, in which the fill value of a re-ranking is looked for.
        labels: Multi-hot ``images classes``, or None.
        settings: Definitions.
        dtype: Precision of the scores.
        memory_limit: Bytes beyond the inputs.
        block: Queries per block, or None for the planned number.
        progress: Show a bar.
        share: ``(rank, world)``.

    Raises:
        DataError: Labels of another shape, or values other than 0 and 1.
        UsageError: ``share`` is no rank of its world, or the category task has no labels.
    """

    def __init__(
        self,
        correspondence: Correspondence,
        images: int,
        dim: int,
        labels: Any,
        settings: EvaluationOptions,
        dtype: np.dtype,
        memory_limit: int,
        block: int | None,
        progress: bool,
        share: tuple[int, int],
    ) -> None:
        if not 0 <= share[0] < share[1]:
            raise UsageError(f"share={share} must be (rank, world) with 0 <= rank < world")
        if labels is None and tuple(settings.tasks) == ("category",):
            raise UsageError("the category task needs labels=, multi-hot images x classes")
        self.correspondence, self.images, self.settings, self.dtype = correspondence, images, settings, dtype
        self.labels = None if labels is None else check_labels(_numpy(labels), images)
        self.memory_limit, self.block, self.progress = memory_limit, block, progress
        self.share, self.dim = share, dim

    def __call__(
        self, source: Callable[[Fold, MemoryPlan], Any], folds: int, directions: tuple[Direction, ...]
    ) -> RetrievalResult:
        """Evaluates every fold.

        Args:
            source: Makes the scores of a fold under a memory plan.
            folds: Number of contiguous folds.
            directions: Which of the two.

        Raises:
            DataError: A fold has no captions, scores hold NaN, or a query is empty under ``empty="error"``.
            UsageError: ``folds`` or ``block`` is out of its range, or nothing fits into the memory limit.
        """
        parts = list(self._folds(folds))
        pairs = sum(len(part.image_rows) * len(part.text_rows) for part in parts) * len(directions) // self.share[1]
        with ProgressBar(pairs, "evaluate", is_shown=self.progress) as bar:
            states = tuple(self._fold(part, source, directions, bar) for part in parts)
        return summarise(EvaluationState(self.settings, states, self.share))

    def _folds(self, folds: int) -> Iterator[Fold]:
        if not 1 <= folds <= self.images:
            raise UsageError(f"folds={folds} must lie between 1 and the number of images, {self.images}")
        rows = self.correspondence.caption_to_image
        for n in range(folds):
            first, last = (self.images * m // folds for m in (n, n + 1))
            texts = np.flatnonzero((rows >= first) & (rows < last))
            if len(texts) == 0:
                raise DataError(f"images {first} to {last - 1} of fold {n} have no captions; use fewer folds")
            instance = InstanceRetrieval(Correspondence(rows[texts] - first), last - first)
            known = self.labels is not None and "category" in self.settings.tasks
            category = CategoryRetrieval(self.labels[first:last], instance) if known else None  # type: ignore[index]
            yield Fold(np.arange(first, last), texts, instance, category)

    def _fold(
        self,
        fold: Fold,
        source: Callable[[Fold, MemoryPlan], Any],
        directions: tuple[Direction, ...],
        bar: ProgressBar,
    ) -> FoldState:
        images, texts = len(fold.image_rows), len(fold.text_rows)
        plan = plan_memory(
            images, texts, self.dim, self.dtype, self.settings, memory_limit=self.memory_limit, block=self.block
        )
        level = logging.INFO if plan.predicted_bytes > _WORTH_TELLING else logging.DEBUG
        _LOG.log(level, "%d images, %d captions: at most %.0f MiB", images, texts, plan.predicted_bytes / 2**20)
        scores, states = source(fold, plan), {}
        for direction in directions:
            rows = plan.i2t_rows if direction == "i2t" else plan.t2i_rows
            query_images, item_images = fold.instance.images_of(direction)
            blocks = []
            for block in self._values(fold, direction, scores, self._ranges(len(query_images), rows), rows):
                blocks.append(block)
                bar.advance(block.queries * len(item_images))
            states[direction] = DirectionState(query_images, len(item_images), join_blocks(blocks))
        return FoldState(fold.image_rows, fold.text_rows, states)

    def _ranges(self, queries: int, rows: int) -> list[tuple[int, int]]:
        """This process's blocks; their borders do not depend on the number of processes."""
        ranges = [(first, min(first + rows, queries)) for first in range(0, queries, rows)]
        rank, world = self.share
        return ranges[len(ranges) * rank // world : len(ranges) * (rank + 1) // world]

    def _values(
        self, fold: Fold, direction: Direction, scores: Any, ranges: list[tuple[int, int]], rows: int
    ) -> Iterator[BlockValues]:
        parts = (direction, fold.instance, fold.category, self.settings)
        if isinstance(scores, TensorScores):
            return TensorEngine(*parts, scores.device).blocks(scores, ranges)
        engine = CpuEngine(*parts, find_fills=self.dim == 0)
        return engine.codes(scores, ranges) if isinstance(scores, CodeSource) else engine.floats(scores, ranges, rows)


def find_device(array: np.ndarray | Tensor, device: str | None) -> torch.device | None:
    """The torch device to compute on, or None for the kernels of the CPU.

    Raises:
        UsageError: The device is not there, or torch knows none of that name.
    """
    try:
        found = torch.device(device or (array.device if isinstance(array, Tensor) else "cpu"))
    except RuntimeError as error:
        raise UsageError(f"device={device!r} is no device of torch; give 'cpu' or 'cuda'") from error
    if found.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"device={device!r} was asked for, but torch finds no CUDA device; use device='cpu'")
    return None if found.type == "cpu" else found


def take(array: np.ndarray | Tensor, rows: np.ndarray) -> np.ndarray | Tensor:
    """Rows of an array, without a copy where they follow each other."""
    if len(rows) == rows[-1] - rows[0] + 1:
        return array[int(rows[0]) : int(rows[-1]) + 1]
    return array[rows]


def _numpy(labels: Any) -> np.ndarray:
    return labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
