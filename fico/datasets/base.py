"""What every data set gives: splits with ids, captions, labels and an explicit correspondence."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool

from fico.types import Correspondence

CaptionsPerImage = int | Literal["all"]


@dataclass(frozen=True, slots=True, eq=False)
class RetrievalSplit:
    """One split of a data set. Row numbers of images and captions are positions in these tuples.

    Args:
        dataset: Name of the data set: ``shapes``, ``karpathy``, ...
        name: ``train``, ``val`` or ``test``.
        image_ids: Unique and stable: the COCO id, or the file's name without its suffix.
        image_paths: One per image. A file need not exist before it is read.
        caption_ids: Unique: the sentence id of the file, or ``<image id>#<position>`` where it has none.
        captions: As written, without outer blanks.
        tokens: Lower-cased words of each caption, without punctuation.
        correspondence: The image row of each caption.
        labels: Multi-hot categories, where the data set has them. A row may be all False.
        classes: Names of the label columns; empty without labels.
        fingerprint: SHA-256 over ids, captions, correspondence, labels and sizes of the image files.
        label_origin: What made the labels where it was a model and no person; empty otherwise.
    """

    dataset: str
    name: str
    image_ids: tuple[str, ...]
    image_paths: tuple[Path, ...]
    caption_ids: tuple[str, ...]
    captions: tuple[str, ...]
    tokens: tuple[tuple[str, ...], ...]
    correspondence: Correspondence
    labels: Bool[np.ndarray, "images classes"] | None
    classes: tuple[str, ...]
    fingerprint: str
    label_origin: str = ""


class RetrievalDataset(Protocol):
    """Anything with named splits. The constructor reads little; a split is read when first asked for."""

    name: str
    root: Path

    def split(self, name: str) -> RetrievalSplit:
        """Give one split; asking again costs nothing.

        Raises:
            DataError: The split is empty or unknown (those that exist are named), or its files are broken.
        """
        ...


@runtime_checkable
class FeatureDataset(RetrievalDataset, Protocol):
    """A data set that comes as features: without image files and words, others cannot be made.

    ``feature_origins`` says by kind of features (``global``, ``doc2vec``, ...) what they are.
    """

    feature_origins: Mapping[str, str]

    def features(self, split: str, kind: str) -> np.ndarray:
        """Give the features of one kind, float32, row by row as in the split.

        Raises:
            DataError: The split is empty or unknown, or its files are broken.
        """
        ...
