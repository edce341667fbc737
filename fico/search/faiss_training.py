"""Training of FAISS indexes: rotations, partitions and quantisers."""

from typing import Any

import numpy as np

from fico.errors import DataError
from fico.search.base import import_faiss
from fico.search.faiss_factory import stages


def train(index: Any, rows: np.ndarray, factory: str, metric: str) -> None:
    """Trains an index.

    Args:
        index: Of floats or codes, empty.
        rows: To train on, as FAISS takes them.
        factory: Its factory string.
        metric: ``cosine``, ``inner``, ``euclidean`` or ``hamming``.

    Raises:
        DataError: FAISS needs more rows.
    """
    try:
        if metric != "euclidean":
            for stage in stages(index):
                _train_without_offset(stage, rows)
        index.train(rows)
    except RuntimeError as error:  # more lists or centroids than rows; FAISS counts them
        raise DataError(
            f"FAISS cannot train {factory!r} on {len(rows)} items: {error}; give more items or a factory with fewer "
            "lists"
        ) from error


def _train_without_offset(stage: Any, rows: np.ndarray) -> None:
    """Trains the transforms before an index; a PCA then rotates and cuts off, without the subtraction of the mean.

    FAISS subtracts it from items and queries, which adds to every product a term that differs from item to item.
    """
    faiss = import_faiss()
    for number in range(stage.chain.size() if hasattr(stage, "chain") else 0):
        transform = faiss.downcast_VectorTransform(stage.chain.at(number))
        if not transform.is_trained:
            transform.train(rows)
        if isinstance(transform, faiss.PCAMatrix):
            transform.have_bias = False
        rows = transform.apply(rows)
