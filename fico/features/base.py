"""What a model is fed: arrays per split, and the sizes and origins that go with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32

from fico.datasets.base import RetrievalSplit
from fico.features.precomputed import Features, Scale
from fico.features.vocabulary import Vocabulary


@runtime_checkable
class ReadRows(Protocol):
    """Rows that are made on access, such as `fico.features.image.pixels.PixelRows`."""

    @property
    def is_lazy(self) -> bool:
        """Whether each row costs reading a file, so that several processes should."""
        ...

    @property
    def row_bytes(self) -> int:
        """Bytes that are stored for a row."""
        ...

    def for_training(self) -> "ReadRows":
        """The same rows, which `varied` perhaps varies."""
        ...

    def varied(self, row: int, random: np.random.Generator) -> np.ndarray:
        """A row as a training takes it; the same for the same state of ``random``, in whichever process."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, row: int, /) -> np.ndarray: ...


@runtime_checkable
class ImageReader(Protocol):
    """Gives a model the images themselves, such as `fico.features.image.pixels.Pixels`."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Sizes that the network takes from it."""
        ...

    @property
    def origin(self) -> str:
        """What is made of the images, in a few words."""
        ...

    def rows(self, split: RetrievalSplit, *, progress: bool = True) -> ReadRows:
        """Give one array per image."""
        ...


class ReadTexts(Protocol):
    """A text reader that has seen the training captions, such as `fico.features.text.tokens.CaptionTokens`."""

    sizes: Mapping[str, int]

    @property
    def origin(self) -> str:
        """What makes the ids, in a few words; what had to be cut is counted."""
        ...

    def ids(self, split: RetrievalSplit) -> tuple[np.ndarray, ...]:
        """Give one int64 array per caption."""
        ...


@runtime_checkable
class TextReader(Protocol):
    """Gives a model the captions as token ids, such as `fico.features.text.tokens.WordPieces`."""

    def fitted(self, train: RetrievalSplit) -> ReadTexts:
        """Open or fit what numbers the tokens."""
        ...


@runtime_checkable
class FeatureReader(Protocol):
    """Gives one side of a model vectors or regions, such as `fico.features.image.lite0.Lite0` or `TfIdf`."""

    def check(self, root: Path | None) -> None:
        """Refuse, before a data set is opened, what its folder (None: it has none yet) or the installation lacks."""
        ...

    def features(self, root: Path, splits: Mapping[str, RetrievalSplit], *, progress: bool = True) -> Features:
        """Give one array for each image or for each caption; what is fitted is fitted on ``train``."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class SplitInputs:
    """Features of one split, row by row as in its `RetrievalSplit`.

    Args:
        images: ``images dim`` (one descriptor an image) or ``images regions dim``; may be memory-mapped. Or rows that
            are made on access: pixels ``3 size size``.
        texts: ``captions dim`` text features, or one int64 array of word ids per caption.
        labels: Multi-hot categories, where the data set has them.
    """

    images: Float32[np.ndarray, "images ..."] | ReadRows
    texts: Float32[np.ndarray, "captions dim"] | tuple[np.ndarray, ...]
    labels: Bool[np.ndarray, "images classes"] | None


@dataclass(frozen=True, slots=True, eq=False)
class ModelInputs:
    """Features of the requested splits, and what a model and a report need to know about them.

    Args:
        splits: By name of the split.
        sizes: ``image_dim``, ``regions`` (region features only) or ``image_size`` (pixels), ``text_dim`` or
            ``vocab_size``, ``train_pairs``, ``train_images``, ``classes`` (0 without labels).
        origin: What made the features: keys ``image`` and ``text``, one sentence each.
        bytes_per_image: Size of the stored features of one image.
        bytes_per_text: Size of the stored features of one caption; the mean for word ids.
        vocabulary: Of the word ids; None with text features and token ids.
        is_made: By side: whether the inputs were made from images or captions, so that those of new ones can be.
        image_scale: Scale of the fixed descriptors, where they were made here.
        digests: Of precomputed features, whose origin does not say what is in them.
    """

    splits: dict[str, SplitInputs]
    sizes: dict[str, int]
    origin: dict[str, str]
    bytes_per_image: int
    bytes_per_text: int
    vocabulary: Vocabulary | None
    is_made: Mapping[str, bool]
    image_scale: Scale | None = None
    digests: tuple[str, ...] = ()
