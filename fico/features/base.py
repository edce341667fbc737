"""What a model is fed: arrays per split, and the sizes and origins that go with them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32

from fico.features.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True, eq=False)
class SplitInputs:
    """Features of one split, row by row as in its `RetrievalSplit`.

    Args:
        images: ``images dim`` (one descriptor an image) or ``images regions dim``; may be memory-mapped.
        texts: ``captions dim`` text features, or one int64 array of word ids per caption.
        labels: Multi-hot categories, where the data set has them.
    """

    images: Float32[np.ndarray, "images ..."]
    texts: Float32[np.ndarray, "captions dim"] | tuple[np.ndarray, ...]
    labels: Bool[np.ndarray, "images classes"] | None


@dataclass(frozen=True, slots=True, eq=False)
class ModelInputs:
    """Features of the splits that were asked for, and what a model and a report need to know about them.

    Args:
        splits: By name of the split.
        sizes: ``image_dim``, ``regions`` (region features only), ``text_dim`` or ``vocab_size``,
            ``train_pairs``, ``train_images``, ``classes`` (0 without labels).
        origin: What made the features: keys ``image`` and ``text``, one sentence each.
        bytes_per_image: Size of the stored features of one image.
        bytes_per_text: Size of the stored features of one caption; the mean for word ids.
        vocabulary: Of the word ids; None with text features.
    """

    splits: dict[str, SplitInputs]
    sizes: dict[str, int]
    origin: dict[str, str]
    bytes_per_image: int
    bytes_per_text: int
    vocabulary: Vocabulary | None
