"""Category retrieval: query and item are right for each other when their images share at least one label."""

import numpy as np
from jaxtyping import Bool, UInt64
from numpy.typing import ArrayLike

from fico.errors import DataError
from fico.evaluation.instance import InstanceRetrieval
from fico.metrics.specification import Direction


class CategoryRetrieval:
    """Relevance by shared labels; captions inherit the labels of their image.

    Args:
        labels: ``images classes``, multi-hot: booleans, or numbers 0 and 1.
        instance: The instance task on the same images and captions.

    Raises:
        DataError: ``labels`` has another shape, or values other than 0 and 1.
    """

    def __init__(self, labels: ArrayLike, instance: InstanceRetrieval) -> None:
        self.labels = check_labels(labels, instance.images)
        self.instance = instance
        self.words = label_words(self.labels)

    def relevant(self, direction: Direction, start: int, stop: int) -> Bool[np.ndarray, "queries items"]:
        """Relevance of all items for the queries from ``start`` to before ``stop``."""
        queries, items = self.instance.images_of(direction)
        shared = self.labels[queries[start:stop]].astype(np.float32) @ self.labels.T.astype(np.float32)
        relevant: np.ndarray = (shared > 0)[:, items]
        return relevant


def check_labels(labels: ArrayLike, images: int) -> Bool[np.ndarray, "images classes"]:
    """Multi-hot labels as booleans.

    Raises:
        DataError: Wrong shape, or values other than 0 and 1.
    """
    array = np.asarray(labels)
    if array.ndim != 2 or len(array) != images or array.shape[1] == 0:
        raise DataError(
            f"labels have shape {array.shape}, but {images} images were given; labels are multi-hot, images x classes"
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
