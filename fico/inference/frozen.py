"""Features of new images and texts by readers that are not fitted, or on training captions alone; nothing is cached.

A data set's features are cached by content. Those of a query would only fill that cache, and what makes them, weights
and training captions, would be opened for each query; here it is kept in memory.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fico.datasets.base import RetrievalSplit
from fico.features.image.lite0 import Lite0, lite0_steps
from fico.features.text.minilm import MiniLM, minilm_vectors
from fico.features.text.tfidf import TfIdf, TfIdfSpace

Encode = Callable[[RetrievalSplit], Sequence[np.ndarray]]


def image_encoder(reader: Any, folder: Path) -> Encode:
    """What makes one array for each image of a split.

    Args:
        reader: Of a run's config; one that is not known here gives its features as it does for a data set.
        folder: For such a reader, in the place of a data set's.
    """
    if not isinstance(reader, Lite0):
        return lambda split: list(reader.features(folder, {"images": split}, progress=False).rows["images"])
    return lambda split: [row for _, rows in lite0_steps({"images": split}, reader.kind)[0](0) for row in rows]


def text_encoder(reader: Any, train: RetrievalSplit, folder: Path) -> Encode:
    """What makes one vector for each caption of a split.

    Args:
        reader: As for `image_encoder`.
        train: The training captions.
        folder: As for `image_encoder`.
    """
    if isinstance(reader, TfIdf):
        space = TfIdfSpace(train.tokens, reader.dim, reader.min_count)
        return lambda split: list(space.vectors(split.tokens))
    if isinstance(reader, MiniLM):
        return lambda split: list(minilm_vectors(split.captions, reader.words))
    return lambda split: list(reader.features(folder, {"train": train, "texts": split}, progress=False).rows["texts"])
