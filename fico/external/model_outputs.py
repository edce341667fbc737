"""Outputs of a model from outside: embeddings, codes or score matrices, their layouts and their evaluation."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Int64

from fico.correspondence import Correspondence
from fico.errors import DataError, UsageError
from fico.evaluation.evaluate import evaluate, evaluate_scores
from fico.evaluation.result import RetrievalResult
from fico.similarity import Similarity

Layout = Literal["rectangular", "square"]
Orientation = Literal["captions-images", "images-captions"]
SquareGallery = Literal["reduced", "as-published"]
_ROWS = 4096  # rows compared at a time, so that a mapped file is never read whole


@dataclass(frozen=True, slots=True, eq=False)
class ModelOutputs:
    """Embeddings or codes of both sides, or score matrices, with one row per image.

    Args:
        correspondence: Image row of each caption.
        images: ``images dim``, or None with scores.
        texts: ``captions dim``, or None with scores.
        i2t: ``images captions``, or None.
        t2i: ``captions images``, or None.
        labels: ``images classes``, multi-hot.
        similarity: Measure of the embeddings; without effect on scores.
        bits: Length of packed codes.
        is_square: The files held an image once per caption; the copies were equal.
    """

    correspondence: Correspondence
    images: np.ndarray | None = None
    texts: np.ndarray | None = None
    i2t: np.ndarray | None = None
    t2i: np.ndarray | None = None
    labels: Bool[np.ndarray, "images classes"] | None = None
    similarity: Similarity = "cosine"
    bits: int | None = None
    is_square: bool = False

    @property
    def image_count(self) -> int:
        """Number of images.

        Raises:
            UsageError: There are neither embeddings nor scores.
        """
        for array, axis in ((self.images, 0), (self.i2t, 0), (self.t2i, 1)):
            if array is not None:
                return int(array.shape[axis])
        raise UsageError("there are neither embeddings nor scores; give one of them")

    @property
    def caption_count(self) -> int:
        """Number of captions."""
        return len(self.correspondence.caption_to_image)


def consecutive_captions(captions: int, per_image: int, images: int | None = None) -> Correspondence:
    """Captions in the order of their images, the same number each, because the user said so.

    Args:
        captions: Number of captions.
        per_image: Captions of each image.
        images: Number of images, where it is known.

    Raises:
        UsageError: ``per_image`` is below 1.
        DataError: The captions do not divide into such groups, or into another number of groups than there are images.
    """
    if per_image < 1:
        raise UsageError(f"captions per image is {per_image}; give a whole number from 1")
    counts = f"{images} images and {captions} captions are not {per_image} captions per image"
    if per_image > 1 and images == captions * per_image:
        raise DataError(f"{counts}; the two sides look swapped: exchange the files, or transpose the scores")
    if captions % per_image:
        raise DataError(
            f"{captions} captions do not make groups of {per_image}; give the image of each caption instead"
        )
    if images is not None and images * per_image != captions:
        raise DataError(f"{counts}; give the image of each caption instead")
    return Correspondence(np.arange(captions) // per_image)


def reduce_square(outputs: ModelOutputs) -> ModelOutputs:
    """Keeps one row per image where files repeat an image for each of its captions ("square").

    Args:
        outputs: Row ``j`` of the images, row ``j`` of ``i2t`` and column ``j`` of ``t2i`` belong to the image of
            caption ``j``.

    Raises:
        DataError: The counts of images and captions differ, image rows are not numbered without gaps, or the copies
            of an image are not equal (the image and the copy are named).
    """
    rows = outputs.correspondence.caption_to_image
    if outputs.image_count != len(rows):
        raise DataError(
            f"a square layout repeats the image for each caption, but there are {outputs.image_count} image rows and "
            f"{len(rows)} captions; use the rectangular layout"
        )
    numbers, first = np.unique(rows, return_index=True)
    if not np.array_equal(numbers, np.arange(len(numbers))):
        raise DataError(f"a square layout needs image rows 0 to {len(numbers) - 1} without gaps in the correspondence")
    parts: dict[str, Any] = {}
    for name, array in (("images", outputs.images), ("i2t", outputs.i2t)):
        if array is not None:
            _check_copies(array, rows, first, name)
            parts[name] = np.asarray(array[first])
    if outputs.t2i is not None:
        _check_copies(outputs.t2i.T, rows, first, "t2i")
        parts["t2i"] = np.asarray(outputs.t2i[:, first])
    return replace(outputs, is_square=True, **parts)


def oriented(t2i: np.ndarray, orientation: Orientation) -> np.ndarray:
    """The t2i scores as ``captions images``; transposed only if the user says that they are stored the other way."""
    return t2i.T if orientation == "images-captions" else t2i


def evaluate_outputs(
    outputs: ModelOutputs, options: Mapping[str, Any], gallery: SquareGallery = "reduced"
) -> RetrievalResult:
    """Every metric of a model's outputs.

    Args:
        outputs: Embeddings or scores.
        options: Options by name, as ``EvaluationOptions`` has them.
        gallery: Of square files, for category retrieval from text to image: ``reduced``, every image once;
            ``as-published``, every image once per caption, as the authors of the format counted it.

    Raises:
        DataError: As ``fico.evaluate``.
        UsageError: As ``fico.evaluate``, or ``gallery`` is ``as-published`` for files that are not square.
    """
    result = _evaluate(outputs, options)
    if gallery == "reduced":
        return result
    if not outputs.is_square:
        raise UsageError(
            "a gallery as published exists only for the square layout; leave the option out or name the layout"
        )
    if outputs.labels is None or outputs.t2i is None and outputs.images is None:
        return result
    copies = _evaluate(_repeated(outputs), {**options, "tasks": ("category",)})
    return _with_category_t2i(result, copies)


def _evaluate(outputs: ModelOutputs, options: Mapping[str, Any]) -> RetrievalResult:
    shared: dict[str, Any] = {"labels": outputs.labels, **options}
    if outputs.images is None:
        return evaluate_scores(i2t=outputs.i2t, t2i=outputs.t2i, correspondence=outputs.correspondence, **shared)
    if outputs.texts is None:
        raise UsageError("there are image embeddings without caption embeddings; give both sides")
    shared |= {"similarity": outputs.similarity, "bits": outputs.bits}
    return evaluate(outputs.images, outputs.texts, outputs.correspondence, **shared)


def _repeated(outputs: ModelOutputs) -> ModelOutputs:
    """The same with a copy of the image for every caption, and each caption belonging to its own copy."""
    rows = outputs.correspondence.caption_to_image
    return replace(
        outputs,
        correspondence=Correspondence(np.arange(len(rows))),
        images=None if outputs.images is None else outputs.images[rows],
        i2t=None,
        t2i=None if outputs.t2i is None else outputs.t2i[:, rows],
        labels=None if outputs.labels is None else outputs.labels[rows],
    )


def _with_category_t2i(result: RetrievalResult, copies: RetrievalResult) -> RetrievalResult:
    part = "category/t2i/"
    merged: dict[str, Any] = {}
    for name in ("metrics", "intervals", "queries", "definitions", "tie_bounds"):
        kept = {key: value for key, value in getattr(result, name).items() if not key.startswith(part)}
        merged[name] = kept | {key: value for key, value in getattr(copies, name).items() if key.startswith(part)}
    t2i = replace(result.per_query["t2i"], average_precision=copies.per_query["t2i"].average_precision)
    note = "category metrics from text to image count every image once per caption, as published"
    return replace(result, **merged, per_query={**result.per_query, "t2i": t2i}, notes=(*result.notes, note))


def _check_copies(
    array: np.ndarray, image_of: Int64[np.ndarray, " rows"], first: Int64[np.ndarray, " images"], name: str
) -> None:
    for start, rows in _pieces(array):
        wanted = array[first[image_of[start : start + len(rows)]]]
        # a product of equal rows may differ in its last digits, depending on where a library cuts its blocks
        same = np.isclose(rows, wanted, rtol=1e-5, atol=1e-6, equal_nan=True).all(axis=1)
        if not same.all():
            row = start + int(np.flatnonzero(~same)[0])
            image = image_of[row]
            raise DataError(
                f"{name}: row {row} should be a copy of row {first[image]} (image {image}), but differs; "
                "the layout is not square, or the correspondence belongs to other files"
            )


def _pieces(array: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    for start in range(0, len(array), _ROWS):
        yield start, array[start : start + _ROWS]
