"""What every data set gives: splits with ids, captions, labels and an explicit correspondence."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool

from fico.correspondence import Correspondence
from fico.errors import UsageError

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
        correspondence: The image row of each caption; of a test split under the hashing protocol also the database.
        labels: Multi-hot categories, where the data set has them. A row may be all False.
        classes: Names of the label columns; empty without labels.
        fingerprint: SHA-256 over ids, captions, correspondence, labels and the content of the image files.
        label_origin: What made the labels where it was a model and no person; empty otherwise.
        notes: What a reader of results must know about how the split was made.
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
    notes: tuple[str, ...] = ()


class RetrievalDataset(Protocol):
    """Anything with named splits. The constructor reads little; a split is read on first use."""

    name: str
    root: Path

    def split(self, name: str) -> RetrievalSplit:
        """Give one split; it is read once.

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


class SplitReader(ABC):
    """Reads each split of a data set once; every reader of this package derives from it.

    A reader lies in a file called like its data set (``coco.py``), by which `fico.load_dataset` finds it.

    Args:
        root: The data set's folder.
        name: Name of the data set in results.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.root, self.name = root, name
        self._splits: dict[str, RetrievalSplit] = {}

    def split(self, name: str) -> RetrievalSplit:
        """Give one split; it is read once.

        Args:
            name: ``train``, ``val`` or ``test``.

        Raises:
            UsageError: An argument of the reader does not fit its files.
            DataError: There is no such split (those that exist are named) or nothing in it, or a file is missing or
                broken.
        """
        if name not in self._splits:
            self._splits[name] = self._read_split(name)
        return self._splits[name]

    @abstractmethod
    def _read_split(self, name: str) -> RetrievalSplit:
        """Read one split; called once for each."""


def check_captions_per_image(value: object) -> None:
    """Refuse what is neither ``"all"`` nor a positive integer.

    Raises:
        UsageError: The value is named.
    """
    if value != "all" and (type(value) is not int or value < 1):
        raise UsageError(f"dataset.captions_per_image is {value!r}; give 'all' or a positive integer")


def check_validation(fraction: float) -> None:
    """Refuse what is not a fraction of the training pairs that leaves some to train on.

    Raises:
        UsageError: The value is named.
    """
    if not 0 <= fraction < 1:
        raise UsageError(f"dataset.validation is {fraction}; give a fraction of at least 0 and below 1, such as 0.1")
