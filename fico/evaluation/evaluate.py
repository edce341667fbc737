"""Evaluation of embeddings, codes or score matrices: blocks of queries through similarity, tasks and metrics."""

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from fico.errors import DataError, UsageError
from fico.evaluation.engine import Fold, Run, find_device, take
from fico.evaluation.memory import MemoryPlan
from fico.evaluation.result import DirectionState, EvaluationState, FoldState, RetrievalResult, join_blocks
from fico.evaluation.score_sources import MatrixScores, embedding_source, matrix_side
from fico.evaluation.summary import summarise
from fico.metrics.options import EvaluationOptions
from fico.metrics.specification import Denominator, Direction, Empty, Median, RecallKind, Task, Ties
from fico.similarity import SIMILARITIES, Similarity, check_pair, score_dtype
from fico.types import Correspondence
from fico.util.arrays import as_matrix

__all__ = ["evaluate", "evaluate_scores", "merge_results"]

_LIMIT = 512 * 2**20


def evaluate(
    images: ArrayLike | Tensor,
    texts: ArrayLike | Tensor,
    correspondence: Correspondence,
    *,
    labels: ArrayLike | Tensor | None = None,
    similarity: Similarity = "cosine",
    bits: int | None = None,
    ties: Ties = "expected",
    ap: Denominator = "hits",
    empty: Empty = "zero",
    recall: RecallKind = "any",
    median: Median = "floor",
    tasks: Sequence[Task] = ("instance", "category"),
    recall_at: Sequence[int] = (1, 5, 10, 50, 100, 200),
    map_at: Sequence[int] = (10, 100),
    folds: int = 1,
    bootstrap: int = 1000,
    seed: int = 0,
    memory_limit: int = _LIMIT,
    block: int | None = None,
    device: str | None = None,
    progress: bool = False,
    share: tuple[int, int] = (0, 1),
) -> RetrievalResult:
    """Every instance and category metric of two sets of embeddings or codes, in both directions.

    Queries pass in blocks, so the matrix of all pairs never exists (a small one is kept, within ``memory_limit``).

    Args:
        images: ``images dim``: floats of any precision, codes of +1 and -1 or of 1 and 0 in any dtype, or packed
            ``uint8`` codes when ``bits`` is given.
        texts: ``captions dim``, in the same dtype and form.
        correspondence: The image row of each caption.
        labels: Multi-hot ``images classes``; without them only the instance metrics are computed.
        similarity: ``cosine`` (0 for zero vectors), ``inner``, ``euclidean`` (negative distance) or ``hamming``
            (negative number of differing bits).
        bits: Length of packed codes.
        ties: Order of equal scores: ``expected`` is the exact mean over all orders, ``optimistic`` and ``pessimistic``
            put right items first and last within every tied block (orders, so for AP@K over ``hits`` not always
            the largest and smallest value), ``index`` puts lower rows first. Where ties matter ``tie_bounds`` gives
            the pessimistic and the optimistic value beside whatever was chosen.
        ap: What the sum of precisions in AP@K is divided by: ``hits``, the relevant items among the first K;
            ``min_k_r``, min(K, all relevant items); ``r``, all relevant items.
        empty: Category queries without a relevant item count ``zero``, are left out (``skip``) or are an ``error``.
        recall: R@K counts ``any`` right item, or the ``fraction`` of a query's right items.
        median: MedR as ``floor`` (of the 0-based median, plus 1, as the literature has it) or ``exact``.
        tasks: ``instance``, ``category`` or both.
        recall_at: Cuts of R@K; a cut beyond the gallery finds everything, and a note says so.
        map_at: Cuts of mAP@K; mAP@N over the whole ranking comes beside them.
        folds: Contiguous folds of the images with their captions, each its own gallery; a metric is the mean over the
            folds. 5 gives COCO's 1K protocol.
        bootstrap: Resamples of the 95 % intervals, over images with all their captions.
        seed: Seed of the resamples.
        memory_limit: Bytes beyond the inputs; ``fico.evaluation.memory.plan_memory`` tells the need beforehand.
        block: Queries per block; planned from the limit by default.
        device: ``cpu`` or ``cuda``; by default where the tensors are.
        progress: Show a bar with the remaining time.
        share: ``(rank, world)``: evaluate only this process's share of the queries; ``merge_results`` joins them.

    Returns:
        Metrics as fractions 0 to 1 (MedR and MeanR in items, from 1), with intervals, bounds and definitions.

    Raises:
        DataError: The arrays do not fit each other, hold NaN or infinite rows, or are no codes.
        UsageError: An option is out of its range.
    """
    settings = _settings(tasks, ties, ap, empty, recall, median, recall_at, map_at, bootstrap, seed)
    if similarity not in SIMILARITIES:
        raise UsageError(f"similarity must be one of {', '.join(SIMILARITIES)}, got {similarity!r}")
    if bits is not None and similarity != "hamming":
        raise UsageError(f"bits= declares packed codes, which only similarity='hamming' takes, got {similarity!r}")
    first, second = as_matrix(images, "images"), as_matrix(texts, "texts")
    check_pair(first, second)
    _check_kind(correspondence)
    correspondence.check(len(first), len(second))

    target = find_device(first, device)

    def source(fold: Fold, plan: MemoryPlan) -> Any:
        sides = (take(first, fold.image_rows), take(second, fold.text_rows))
        return embedding_source(*sides, similarity, bits, plan, target)

    dtype = np.dtype(np.float64) if similarity == "euclidean" else score_dtype(first)
    run = Run(correspondence, len(first), first.shape[1], labels, settings, dtype, memory_limit, block, progress, share)
    return run(source, folds, ("i2t", "t2i"))


def evaluate_scores(
    *,
    i2t: ArrayLike | Tensor | None,
    t2i: ArrayLike | Tensor | None,
    correspondence: Correspondence,
    labels: ArrayLike | Tensor | None = None,
    ties: Ties = "expected",
    ap: Denominator = "hits",
    empty: Empty = "zero",
    recall: RecallKind = "any",
    median: Median = "floor",
    tasks: Sequence[Task] = ("instance", "category"),
    recall_at: Sequence[int] = (1, 5, 10, 50, 100, 200),
    map_at: Sequence[int] = (10, 100),
    folds: int = 1,
    bootstrap: int = 1000,
    seed: int = 0,
    memory_limit: int = _LIMIT,
    block: int | None = None,
    progress: bool = False,
    share: tuple[int, int] = (0, 1),
) -> RetrievalResult:
    """Every metric of given scores, one matrix per direction; the two need not be transposes of each other.

    Where most cells of a matrix hold the fill value of a fused re-ranking (-100 or minus infinity), mAP@N, the
    precision-recall curve and mAP@K beyond the re-ranked items do not apply: they are absent and a note says why.

    Args:
        i2t: ``images captions``, higher is nearer; a ``numpy.memmap`` may be larger than memory. None leaves the
            direction out.
        t2i: ``captions images``. A matrix whose shape contradicts the correspondence is refused, never transposed.
        correspondence: The image row of each caption.
        labels: As in ``evaluate``, and so are the options that follow.
        ties: As in ``evaluate``.
        ap: As in ``evaluate``.
        empty: As in ``evaluate``.
        recall: As in ``evaluate``.
        median: As in ``evaluate``.
        tasks: As in ``evaluate``.
        recall_at: As in ``evaluate``.
        map_at: As in ``evaluate``.
        folds: As in ``evaluate``.
        bootstrap: As in ``evaluate``.
        seed: As in ``evaluate``.
        memory_limit: As in ``evaluate``.
        block: As in ``evaluate``.
        progress: As in ``evaluate``.
        share: As in ``evaluate``.

    Returns:
        As ``evaluate``.

    Raises:
        DataError: A shape contradicts the correspondence, or scores are NaN or plus infinity.
        UsageError: An option is out of its range, or no matrix was given.
    """
    settings = _settings(tasks, ties, ap, empty, recall, median, recall_at, map_at, bootstrap, seed)
    _check_kind(correspondence)
    captions = len(correspondence.caption_to_image)
    given: dict[Direction, Any] = {d: m for d, m in (("i2t", i2t), ("t2i", t2i)) if m is not None}  # type: ignore[misc]
    if not given:
        raise UsageError("neither i2t nor t2i was given; give at least one score matrix")
    images = _count_images(given, captions)
    shapes: dict[Direction, tuple[int, int]] = {"i2t": (images, captions), "t2i": (captions, images)}
    matrices = {direction: matrix_side(direction, matrix, shapes[direction]) for direction, matrix in given.items()}
    correspondence.check(images, captions)

    def source(fold: Fold, plan: MemoryPlan) -> MatrixScores:
        if folds == 1:
            return MatrixScores(matrices)
        rows = (fold.image_rows, fold.text_rows)
        return MatrixScores(matrices, {"i2t": rows, "t2i": rows[::-1]})

    dtype = MatrixScores(matrices).dtype
    run = Run(correspondence, images, 0, labels, settings, dtype, memory_limit, block, progress, share)
    return run(source, folds, tuple(matrices))


def merge_results(results: Sequence[RetrievalResult]) -> RetrievalResult:
    """The result of one process out of the shares of several.

    Args:
        results: One result per rank of ``share``, in any order, with the same data and options.

    Raises:
        ValueError: The shares are not all there, or come from different evaluations.
    """
    states = sorted((r.state for r in results if r.state is not None), key=lambda state: state.share)
    wanted = [(rank, len(states)) for rank in range(len(states))]
    if not states or [state.share for state in states] != wanted:
        raise ValueError(f"shares {[state.share for state in states]} are not those of one evaluation")
    if any(state.settings != states[0].settings for state in states):
        raise ValueError("the shares were evaluated with different options")
    folds = []
    for several in zip(*(state.folds for state in states), strict=True):
        directions = {}
        for direction, first in several[0].directions.items():
            block = join_blocks([fold.directions[direction].block for fold in several])
            directions[direction] = DirectionState(first.images, first.items, block)
        folds.append(FoldState(several[0].image_rows, several[0].text_rows, directions))
    return summarise(EvaluationState(states[0].settings, tuple(folds)))


def _check_kind(correspondence: object) -> None:
    if not isinstance(correspondence, Correspondence):
        kind = type(correspondence).__name__
        raise UsageError(f"correspondence is a {kind}; give fico.Correspondence(caption_to_image)")


def _settings(
    tasks: Sequence[Task],
    ties: Ties,
    ap: Denominator,
    empty: Empty,
    recall: RecallKind,
    median: Median,
    recall_at: Sequence[int],
    map_at: Sequence[int],
    bootstrap: int,
    seed: int,
) -> EvaluationOptions:
    choices = [("ties", ties, Ties), ("ap", ap, Denominator), ("empty", empty, Empty), ("recall", recall, RecallKind),
               ("median", median, Median), *(("tasks", task, Task) for task in tasks)]  # fmt: skip
    for name, value, kind in choices:
        if value not in get_args(kind):
            raise UsageError(f"{name} must be one of {', '.join(get_args(kind))}, got {value!r}")
    if not tasks:
        raise UsageError("tasks is empty; choose instance, category or both")
    for name, cuts in (("recall_at", recall_at), ("map_at", map_at)):
        wrong = [k for k in cuts if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1]
        if wrong or len(set(cuts)) < len(cuts):
            raise UsageError(f"{name}={list(cuts)} must hold different whole numbers from 1")
    if bootstrap < 1:
        raise UsageError(f"bootstrap={bootstrap} must be at least 1")
    recall_cuts, map_cuts = (tuple(sorted(int(k) for k in cuts)) for cuts in (recall_at, map_at))
    return EvaluationOptions(tuple(tasks), ties, ap, empty, recall, median, recall_cuts, map_cuts, bootstrap, seed)


def _count_images(given: dict[Direction, Any], captions: int) -> int:
    """Number of images, from the side of a matrix that the correspondence does not fix."""
    direction, matrix = next(iter(given.items()))
    shape = tuple(np.shape(matrix))
    if len(shape) != 2:
        raise DataError(f"{direction} scores have shape {shape}; give a matrix, queries x items")
    return int(shape[0] if direction == "i2t" else shape[1])
