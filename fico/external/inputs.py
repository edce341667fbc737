"""Evaluation of somebody's own files: layouts, galleries, results. The work behind ``fico evaluate``."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Int64

from fico.errors import DataError, UsageError
from fico.evaluation.evaluate import evaluate, evaluate_scores
from fico.evaluation.result import RetrievalResult
from fico.types import Correspondence

Layout = Literal["rectangular", "square"]
Orientation = Literal["captions-images", "images-captions"]
SquareGallery = Literal["reduced", "as-published"]
_ROWS = 4096  # rows compared in one go, so that a mapped file is never read as a whole


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """What to evaluate: two sides of embeddings or codes, or score matrices. Images stand once each.

    Args:
        correspondence: Image row of each caption.
        images: ``images dim``, or None where scores are given.
        texts: ``captions dim``, or None where scores are given.
        i2t: ``images captions``, or None.
        t2i: ``captions images``, or None.
        labels: ``images classes``, multi-hot.
        bits: Length of packed codes.
        is_square: The files held an image once per caption; the copies were equal.
    """

    correspondence: Correspondence
    images: np.ndarray | None = None
    texts: np.ndarray | None = None
    i2t: np.ndarray | None = None
    t2i: np.ndarray | None = None
    labels: Bool[np.ndarray, "images classes"] | None = None
    bits: int | None = None
    is_square: bool = False

    @property
    def image_count(self) -> int:
        """Number of images."""
        for array, axis in ((self.images, 0), (self.i2t, 0), (self.t2i, 1)):
            if array is not None:
                return int(array.shape[axis])
        raise UsageError("neither embeddings nor scores were given")

    @property
    def caption_count(self) -> int:
        """Number of captions."""
        return len(self.correspondence.caption_to_image)


def grouped(captions: int, per_image: int) -> Correspondence:
    """Captions in the order of their images, the same number each, because the user said so.

    Raises:
        UsageError: ``per_image`` is below 1.
        DataError: The captions do not divide into such groups.
    """
    if per_image < 1:
        raise UsageError(f"captions per image is {per_image}; give a whole number from 1")
    if captions % per_image:
        raise DataError(
            f"{captions} captions do not make groups of {per_image}; give the image of each caption instead"
        )
    return Correspondence(np.arange(captions) // per_image)


def reduced(given: Given) -> Given:
    """Takes one row per image where files repeat an image for each of its captions ("square").

    Args:
        given: Row ``j`` of the images, row ``j`` of ``i2t`` and column ``j`` of ``t2i`` belong to the image of
            caption ``j``.

    Raises:
        DataError: The counts of images and captions differ, image rows are not numbered without gaps, or the copies
            of an image are not equal (the image and the copy are named).
    """
    rows = given.correspondence.caption_to_image
    if given.image_count != len(rows):
        raise DataError(
            f"a square layout repeats the image for each caption, but there are {given.image_count} image rows and "
            f"{len(rows)} captions; use the rectangular layout"
        )
    numbers, first = np.unique(rows, return_index=True)
    if not np.array_equal(numbers, np.arange(len(numbers))):
        raise DataError(f"a square layout needs image rows 0 to {len(numbers) - 1} without gaps in the correspondence")
    parts: dict[str, Any] = {}
    for name, array in (("images", given.images), ("i2t", given.i2t)):
        if array is not None:
            _check_copies(array, rows, first, name)
            parts[name] = np.asarray(array[first])
    if given.t2i is not None:
        _check_copies(given.t2i.T, rows, first, "t2i")
        parts["t2i"] = np.asarray(given.t2i[:, first])
    return replace(given, is_square=True, **parts)


def oriented(t2i: np.ndarray, orientation: Orientation) -> np.ndarray:
    """The t2i scores as ``captions images``; turned only if the user says that they are stored the other way."""
    return t2i.T if orientation == "images-captions" else t2i


def evaluate_given(given: Given, options: Mapping[str, Any], gallery: SquareGallery = "reduced") -> RetrievalResult:
    """All metrics of what was given.

    Args:
        given: Embeddings or scores.
        options: Further arguments of ``fico.evaluate``; ``similarity`` and ``device`` are left out for scores.
        gallery: Of square files, for category retrieval by captions: ``reduced``, every image once;
            ``as-published``, every image once per caption, as the authors of the format counted it.

    Raises:
        DataError: As ``fico.evaluate``.
        UsageError: As ``fico.evaluate``, or a published gallery is asked for files that are not square.
    """
    result = _evaluate(given, options)
    if gallery == "reduced":
        return result
    if not given.is_square:
        raise UsageError("a gallery as published exists only for the square layout; drop the option or name the layout")
    if given.labels is None or given.t2i is None and given.images is None:
        return result
    copies = _evaluate(_repeated(given), {**options, "tasks": ("category",)})
    return _with_category_t2i(result, copies)


def _evaluate(given: Given, options: Mapping[str, Any]) -> RetrievalResult:
    if given.images is not None:
        return evaluate(
            given.images,
            _required(given.texts),
            given.correspondence,
            labels=given.labels,
            bits=given.bits,
            **options,
        )
    shared = {name: value for name, value in options.items() if name not in ("similarity", "device")}
    return evaluate_scores(
        i2t=given.i2t, t2i=given.t2i, correspondence=given.correspondence, labels=given.labels, **shared
    )


def _required(texts: np.ndarray | None) -> np.ndarray:
    if texts is None:
        raise UsageError("image embeddings were given without caption embeddings; give both sides")
    return texts


def _repeated(given: Given) -> Given:
    """The same with a copy of the image for every caption, and each caption belonging to its own copy."""
    rows = given.correspondence.caption_to_image
    return replace(
        given,
        correspondence=Correspondence(np.arange(len(rows))),
        images=None if given.images is None else given.images[rows],
        i2t=None,
        t2i=None if given.t2i is None else given.t2i[:, rows],
        labels=None if given.labels is None else given.labels[rows],
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
    array: np.ndarray, owners: Int64[np.ndarray, " rows"], first: Int64[np.ndarray, " images"], name: str
) -> None:
    for start, rows in _pieces(array):
        wanted = array[first[owners[start : start + len(rows)]]]
        # a product of equal rows may differ in its last digits, depending on where a library cuts its blocks
        same = np.isclose(rows, wanted, rtol=1e-5, atol=1e-6, equal_nan=True).all(axis=1)
        if not same.all():
            row = start + int(np.flatnonzero(~same)[0])
            raise DataError(
                f"{name}: row {row} should be a copy of row {first[owners[row]]} (image {owners[row]}), but differs; "
                "the layout is not square, or the correspondence is another"
            )


def _pieces(array: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    for start in range(0, len(array), _ROWS):
        yield start, array[start : start + _ROWS]
