"""Relevance of items to queries: by the correspondence at instance level, by shared labels at category level."""

import numpy as np
from jaxtyping import Bool, Int64, UInt64
from numpy.typing import ArrayLike

from fico.errors import DataError
from fico.metrics.specification import Direction
from fico.types import Correspondence


class InstanceRetrieval:
    """Relevance by the correspondence: a caption and its image are relevant to each other, nothing else is.

    Args:
        correspondence: The image row of each caption.
        images: Number of images; those without captions are queries without relevant item, and distractors for t2i.
    """

    def __init__(self, correspondence: Correspondence, images: int) -> None:
        rows = correspondence.caption_to_image
        self.caption_to_image = rows
        self.images = images
        self._captions = np.argsort(rows, kind="stable")
        self._first = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=images))])

    def positives(self, direction: Direction) -> tuple[Int64[np.ndarray, " starts"], Int64[np.ndarray, " pairs"]]:
        """Relevant items of query q as ``items[start[q]:start[q + 1]]``: (start, items)."""
        if direction == "i2t":
            return self._first, self._captions
        return np.arange(len(self.caption_to_image) + 1), self.caption_to_image

    def images_of(self, direction: Direction) -> tuple[Int64[np.ndarray, " queries"], Int64[np.ndarray, " items"]]:
        """Image row of each query and of each item."""
        images = np.arange(self.images)
        return (images, self.caption_to_image) if direction == "i2t" else (self.caption_to_image, images)

    def relevant(self, direction: Direction, start: int, stop: int) -> Bool[np.ndarray, "queries items"]:
        """Relevance of all items to the queries from ``start`` to before ``stop``."""
        queries, items = self.images_of(direction)
        relevant: np.ndarray = queries[start:stop, None] == items[None, :]
        return relevant


class CategoryRetrieval:
    """Relevance by labels: query and item are relevant to each other if their images share at least one label.

    Args:
        labels: ``images classes``, multi-hot: booleans, or numbers 0 and 1. Captions have the labels of their image.
        instance: The instance task on the same images and captions.

    Raises:
        DataError: ``labels`` has another shape, or values other than 0 and 1.
    """

    def __init__(self, labels: ArrayLike, instance: InstanceRetrieval) -> None:
        self.labels = check_labels(labels, instance.images)
        self.instance = instance
        self.words = label_words(self.labels)

    def relevant(self, direction: Direction, start: int, stop: int) -> Bool[np.ndarray, "queries items"]:
        """Relevance of all items to the queries from ``start`` to before ``stop``."""
        queries, items = self.instance.images_of(direction)
        shared = self.labels[queries[start:stop]].astype(np.float32) @ self.labels.T.astype(np.float32)
        relevant: np.ndarray = (shared > 0)[:, items]
        return relevant


def check_labels(labels: ArrayLike, images: int) -> Bool[np.ndarray, "images classes"]:
    """Multi-hot labels as booleans.

    Raises:
        DataError: Wrong shape, values other than 0 and 1, or a single column, which may be class numbers.
    """
    array = np.asarray(labels)
    if array.ndim != 2 or len(array) != images or array.shape[1] == 0:
        raise DataError(f"labels have shape {array.shape} for {images} images; give multi-hot labels, images x classes")
    if array.shape[1] == 1 and array.dtype != bool:
        raise DataError(
            "labels have a single column of numbers, which may be one class or the number of a class; give one column "
            "per class (for class numbers numpy.eye(classes)[numbers]), or booleans for a single class"
        )
    known = array.astype(bool)
    if array.dtype != bool and not np.array_equal(known, array):
        row = int(np.flatnonzero((known != array).any(axis=1))[0])
        raise DataError(f"labels of image {row} hold values other than 0 and 1; give multi-hot labels")
    return known


def label_words(labels: Bool[np.ndarray, "images classes"]) -> UInt64[np.ndarray, "images words"]:
    """Labels as bit sets of 64 classes a word."""
    words = -(-labels.shape[1] // 64)
    padded = np.zeros((len(labels), words * 64), dtype=bool)
    padded[:, : labels.shape[1]] = labels
    return np.packbits(padded, axis=1).view(np.uint64)
