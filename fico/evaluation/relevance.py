"""Relevance of items to queries: by the correspondence at instance level, by shared labels at category level."""

import numpy as np
from jaxtyping import Bool, Int64, UInt64
from numpy.typing import ArrayLike

from fico.correspondence import Correspondence
from fico.errors import DataError
from fico.metrics.specification import Direction

Rows = tuple[
    Int64[np.ndarray, " starts"], Int64[np.ndarray, " rows"]
]  # row lists one after the other, and their starts


class InstanceRetrieval:
    """Relevance by the correspondence: a caption and its image, or the positives that were given as pairs.

    Args:
        correspondence: The image row of each caption, or pairs.
        images: Number of images; those without positives are queries without relevant item, and distractors for t2i.
    """

    def __init__(self, correspondence: Correspondence, images: int) -> None:
        self.caption_to_image = correspondence.caption_to_image
        self.images = images
        self.captions_of_images = rows_of(self.caption_to_image, images)
        self._positives = _positives(correspondence, images, self.captions_of_images)

    def positives(self, direction: Direction) -> Rows:
        """Relevant items of query q as ``items[start[q]:start[q + 1]]``: (start, items)."""
        return self._positives[direction]

    def images_of(self, direction: Direction) -> tuple[Int64[np.ndarray, " queries"], Int64[np.ndarray, " items"]]:
        """Own image row of each query and of each item; -1 for a caption that has none."""
        images = np.arange(self.images)
        return (images, self.caption_to_image) if direction == "i2t" else (self.caption_to_image, images)

    def are_images(self, direction: Direction) -> bool:
        """Whether the items are all the images themselves, in order."""
        return direction == "t2i"

    def items_of_images(self, direction: Direction) -> Rows:
        """Items of each image, as (start, items); not read where the items are the images themselves."""
        return self.captions_of_images

    def clusters(self, direction: Direction) -> Int64[np.ndarray, " queries"]:
        """Image with which each query is resampled, a caption with its source image or first positive, else -1."""
        queries, _ = self.images_of(direction)
        starts, items = self.positives(direction)
        lost = np.flatnonzero((queries < 0) & (np.diff(starts) > 0))
        if len(lost):
            queries = queries.copy()
            queries[lost] = items[starts[lost]]
        return queries

    def relevant(self, direction: Direction, start: int, stop: int) -> Bool[np.ndarray, "queries items"]:
        """Relevance of all items to the queries from ``start`` to before ``stop``."""
        starts, items = self.positives(direction)
        starts = starts[start : stop + 1]
        relevant = np.zeros((len(starts) - 1, len(self.images_of(direction)[1])), dtype=bool)
        relevant[np.repeat(np.arange(len(relevant)), np.diff(starts)), items[starts[0] : starts[-1]]] = True
        return relevant


def rows_of(keys: Int64[np.ndarray, " rows"], count: int) -> Rows:
    """Rows of each key from 0 to before ``count``, as (start, rows); keys below 0 are left out."""
    rows = np.argsort(keys, kind="stable")[int((keys < 0).sum()) :]
    return np.concatenate([[0], np.cumsum(np.bincount(keys[keys >= 0], minlength=count))]), rows


def _positives(correspondence: Correspondence, images: int, captions_of_images: Rows) -> dict[Direction, Rows]:
    if correspondence.pairs is None:
        owners = correspondence.caption_to_image
        return {"i2t": captions_of_images, "t2i": (np.arange(len(owners) + 1), owners)}
    sides = correspondence.pairs.T
    counts, queries = (images, len(correspondence.caption_to_image)), (0, 1)
    masks = (correspondence.image_queries, correspondence.caption_queries)
    found = []
    for side, count, mask in zip(queries, counts, masks, strict=True):
        kept = slice(None) if mask is None else mask[sides[side]]
        starts, order = rows_of(sides[side][kept], count)
        found.append((starts, sides[1 - side][kept][order]))
    return {"i2t": found[0], "t2i": found[1]}


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
