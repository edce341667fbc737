"""Evaluation of embeddings, codes or score matrices: blocks of queries through similarity, tasks and metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from fico.correspondence import Correspondence
from fico.errors import DataError, UsageError
from fico.evaluation.database.database import NAMES, Database, Positives, parts_of, take
from fico.evaluation.engine import Evaluator, find_device
from fico.evaluation.engines.tensor_scores import MatrixTensors
from fico.evaluation.folds import Fold
from fico.evaluation.hubness.correction import Bank, add_correction, check_tasks, corrected_rows, uncorrected_options
from fico.evaluation.hubness.score_bank import ScoreBank, score_biases
from fico.evaluation.literature import add_literature
from fico.evaluation.memory import MemoryPlan
from fico.evaluation.options import EvaluationOptions, OptionKeywords, bind_options
from fico.evaluation.result import RetrievalResult
from fico.evaluation.score_sources import MatrixScores, embedding_source, matrix_side
from fico.evaluation.state import DirectionState, EvaluationState, FoldState, join_blocks
from fico.evaluation.summary import summarise
from fico.metrics.specification import DIRECTIONS, Direction
from fico.similarity import SIMILARITIES, Similarity, check_pair, score_dtype
from fico.util.arrays import as_matrix

__all__ = ["evaluate", "evaluate_scores", "merge_results"]


def evaluate(
    images: ArrayLike | Tensor,
    texts: ArrayLike | Tensor,
    correspondence: Correspondence,
    *,
    labels: ArrayLike | Tensor | None = None,
    similarity: Similarity = "cosine",
    bits: int | None = None,
    positives: Mapping[str, Correspondence] | None = None,
    bank: Bank | None = None,
    database_images: ArrayLike | Tensor | None = None,
    database_texts: ArrayLike | Tensor | None = None,
    database_correspondence: Correspondence | None = None,
    database_labels: ArrayLike | Tensor | None = None,
    database_positives: Positives | None = None,
    options: EvaluationOptions | None = None,
    **keywords: Unpack[OptionKeywords],
) -> RetrievalResult:
    """Every instance and category metric of two sets of embeddings or codes, in both directions.

    Queries pass in blocks, so the matrix of all pairs never exists (a small one is kept, within ``memory_limit``).

    Args:
        images: ``images dim``: floats of any precision, codes of +1 and -1 or of 1 and 0 in any dtype, or packed
            ``uint8`` codes when ``bits`` is given.
        texts: ``captions dim``, in the same dtype and form.
        correspondence: The image row of each caption, or any number of positives of each query.
        labels: Multi-hot ``images classes``; without them only the instance metrics are computed.
        similarity: ``cosine`` (0 for zero vectors), ``inner``, ``euclidean`` (negative distance) or ``hamming``
            (negative number of differing bits).
        bits: Length of packed codes.
        positives: Further positives of the same images and captions: ``{"eccv": Correspondence.from_pairs(...)}`` gives
            the instance metrics once more, as ``eccv/i2t/R@1``. The captions' source images are those of
            ``correspondence``.
        bank: Embeddings of the images and of the captions of the training split, for ``hubness_correction``.
        database_images: Images of a database: ``texts`` search them, and not ``images``.
        database_texts: Captions of the database: ``images`` search them, and not ``texts``.
        database_correspondence: The image row of each caption of the database, within it.
        database_labels: Multi-hot labels of its images, with the classes of ``labels``.
        database_positives: For instance metrics against a database: ``{"i2t": pairs, "t2i": pairs}``, rows of a query
            and of an item of the database. Without them a database has the category task alone.
        options: What is computed, and how; all defaults if not given.
        **keywords: Single options of ``EvaluationOptions``, such as ``ties="index"``, in place of those of ``options``.

    Returns:
        Metrics as fractions 0 to 1 (MedR and MeanR in items, from 1), with intervals, tie bounds and definitions.

    Raises:
        DataError: The arrays do not fit each other, hold NaN or infinite rows, or are not codes.
        UsageError: There is no such option, or one has a value that it cannot have.
    """
    chosen = _options(options, keywords)
    if similarity not in SIMILARITIES:
        raise UsageError(f"similarity must be one of {', '.join(SIMILARITIES)}, got {similarity!r}")
    if bits is not None and similarity != "hamming":
        raise UsageError(f"bits= declares packed codes, which only similarity='hamming' takes, got {similarity!r}")
    image_rows, text_rows = as_matrix(images, "images"), as_matrix(texts, "texts")
    check_pair(image_rows, text_rows)
    _check_kind(correspondence)
    correspondence.check(len(image_rows), len(text_rows))
    searched, images_in_all = None, len(image_rows)
    database = Database.of(
        database_images, database_texts, database_correspondence, database_labels, database_positives
    )
    if database is not None:
        searched = database.searched(image_rows, text_rows)
        correspondence, labels = database.join(correspondence, labels, len(image_rows))
        images_in_all += len(database.images)
    device = find_device(image_rows, chosen)

    def source(fold: Fold, plan: MemoryPlan) -> dict[Direction, Any]:
        if fold.database is None:
            sides = (take(image_rows, fold.image_rows), take(text_rows, fold.text_rows))
            return dict.fromkeys(DIRECTIONS, embedding_source(*sides, similarity, bits, plan, device))
        found = searched or parts_of(fold, image_rows, text_rows)
        return {way: embedding_source(*found[way], similarity, bits, plan, device, NAMES[way]) for way in DIRECTIONS}

    dtype = np.dtype(np.float64) if similarity == "euclidean" else score_dtype(image_rows)
    is_codes = similarity == "hamming"
    dim = (device and bits) or image_rows.shape[1]  # codes are unpacked on a device
    evaluator = Evaluator(correspondence, images_in_all, dim, dtype, labels, chosen, device, is_codes, positives)
    if chosen.hubness_correction is None:
        return evaluator.evaluate(source)
    if searched is not None:
        raise UsageError("hubness_correction is not computed against a separate database; leave it out")
    rows = corrected_rows(image_rows, text_rows, bank, similarity, chosen)
    found = evaluator.evaluate(source)
    corrected = evaluate(*rows, correspondence, similarity="inner", options=uncorrected_options(chosen))
    return add_correction(found, corrected, chosen)


def evaluate_scores(
    *,
    i2t: ArrayLike | Tensor | None,
    t2i: ArrayLike | Tensor | None,
    correspondence: Correspondence,
    labels: ArrayLike | Tensor | None = None,
    positives: Mapping[str, Correspondence] | None = None,
    bank: ScoreBank | None = None,
    options: EvaluationOptions | None = None,
    **keywords: Unpack[OptionKeywords],
) -> RetrievalResult:
    """Every metric of score matrices, one per direction; the two need not be transposes of each other.

    Where a matrix holds the fill value of a re-ranking (-100 or minus infinity) in most cells, or in as many of each
    row, there is no order after the k re-ranked items. Metrics that need one do not apply: R@K, nDCG@K and mAP@K beyond
    k, mAP@N, the precision-recall curve, MedR beyond k, and MeanR and MRR unless all queries find a relevant item. They
    are absent and a note says why.

    Args:
        i2t: ``images captions``, higher is nearer; a ``numpy.memmap`` may be larger than memory. None leaves the
            direction out.
        t2i: ``captions images``. A matrix whose shape contradicts the correspondence is refused, never transposed.
        correspondence: The image row of each caption.
        labels: As in ``evaluate``.
        positives: As in ``evaluate``.
        bank: For ``hubness_correction``, by direction the scores of its items with queries of the training split,
            ``bank_queries items``; for ``dual_softmax`` a pair of these and of the scores with items of the training
            split, ``bank_items items``. What a re-ranking did not score stays as it is.
        options: As in ``evaluate``.
        **keywords: As in ``evaluate``.

    Returns:
        As ``evaluate``.

    Raises:
        DataError: A shape contradicts the correspondence or the bank the gallery, or scores are NaN or plus infinity.
        UsageError: As ``evaluate``, or there is no matrix, or no bank for a correction.
    """
    chosen = _options(options, keywords)
    _check_kind(correspondence)
    captions = len(correspondence.caption_to_image)
    found: dict[Direction, Any] = {d: m for d, m in (("i2t", i2t), ("t2i", t2i)) if m is not None}  # type: ignore[misc]
    if not found:
        raise UsageError("i2t and t2i are both None; give at least one score matrix")
    images = _count_images(found, correspondence)
    shapes: dict[Direction, tuple[int, int]] = {"i2t": (images, captions), "t2i": (captions, images)}
    matrices = {direction: matrix_side(direction, matrix, shapes[direction]) for direction, matrix in found.items()}
    correspondence.check(images, captions)

    device = find_device(next(iter(matrices.values())), chosen) if chosen.engine == "torch" else None

    def evaluated(options: EvaluationOptions, biases: dict[Direction, np.ndarray] | None = None) -> RetrievalResult:
        def source(fold: Fold, plan: MemoryPlan) -> dict[Direction, Any]:
            is_whole = options.folds == 1 and fold.database is None
            scores = MatrixScores(matrices, None if is_whole else {way: fold.rows(way) for way in DIRECTIONS}, biases)
            if device is None:
                return dict.fromkeys(matrices, scores)
            return dict.fromkeys(matrices, MatrixTensors(scores, device, {w: len(fold.rows(w)[1]) for w in DIRECTIONS}))

        extras = (labels, positives) if biases is None else (None, None)
        dtype = MatrixScores(matrices).dtype
        evaluator = Evaluator(correspondence, images, 0, dtype, extras[0], options, device, False, extras[1])
        return evaluator.evaluate(source, tuple(matrices))

    if chosen.hubness_correction is None:
        return evaluated(chosen)
    check_tasks(chosen)
    biases = score_biases(bank, {way: shapes[way][1] for way in matrices}, chosen)
    return add_correction(evaluated(chosen), evaluated(uncorrected_options(chosen), biases), chosen)


def merge_results(results: Sequence[RetrievalResult]) -> RetrievalResult:
    """The result of one process from those of several, each of which evaluated its shard of the queries.

    Args:
        results: One result per rank of ``shard``, in any order, with the same data and options.

    Raises:
        ValueError: Shards are missing, or come from different evaluations.
    """
    return _merged([result.state for result in results if result.state is not None])


def _merged(states: list[EvaluationState]) -> RetrievalResult:
    states = sorted(states, key=lambda state: state.shard)
    wanted = [(rank, len(states)) for rank in range(len(states))]
    if not states or [state.shard for state in states] != wanted:
        raise ValueError(f"shards {[state.shard for state in states]} are not those of one evaluation")
    if any(state.options != states[0].options for state in states):
        raise ValueError("the shards were evaluated with different options")
    folds: list[FoldState] = []
    for several in zip(*(state.folds for state in states), strict=True):
        directions = {}
        for direction, first in several[0].directions.items():
            block = join_blocks([fold.directions[direction].block for fold in several])
            counts = sum((fold.directions[direction].occurrences for fold in several[1:]), first.occurrences)
            directions[direction] = DirectionState(first.images, first.items, block, counts)
        folds.append(replace(several[0], directions=directions, notes=()))
    found = summarise(replace(states[0], folds=tuple(folds), shard=(0, 1), corrected=None, literature=None))
    if literature := [state.literature for state in states if state.literature is not None]:
        found = add_literature(found, states[0].options, lambda _: _merged(literature))
    corrected = [state.corrected for state in states if state.corrected is not None]
    return add_correction(found, _merged(corrected), states[0].options) if corrected else found


def _options(options: EvaluationOptions | None, keywords: OptionKeywords) -> EvaluationOptions:
    return bind_options({**({} if options is None else options.keywords()), **keywords})


def _check_kind(correspondence: object) -> None:
    if not isinstance(correspondence, Correspondence):
        kind = type(correspondence).__name__
        raise UsageError(f"correspondence is a {kind}; give fico.Correspondence(caption_to_image)")


def _count_images(matrices: dict[Direction, Any], correspondence: Correspondence) -> int:
    """Number of images: of a matrix with as many captions as the correspondence, else the fewest that it needs."""
    for direction, matrix in matrices.items():
        shape = tuple(np.shape(matrix))
        if len(shape) != 2:
            raise DataError(f"{direction} scores have shape {shape}; give a matrix, queries x items")
        images, captions = shape if direction == "i2t" else shape[::-1]
        if captions == len(correspondence.caption_to_image):
            return int(images)
    return correspondence.least_images
