"""A split several times over, its copies with ids of their own, without a copy of its features."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fico.datasets.base import RetrievalSplit
from fico.embeddings.manifest import copied_correspondence, copied_ids
from fico.errors import UsageError
from fico.features.base import ReadRows, SplitInputs


def copied_split(split: RetrievalSplit, copies: int) -> RetrievalSplit:
    """The split ``copies`` times, as the paper makes its larger test sets.

    Copy ``c`` of an image has the id ``<id>~<c>``, from 0, and so have its captions, which belong to that copy alone.
    The data set's name says what it is, such as ``coco(x10)``, so that no table puts its numbers beside those of the
    split itself.

    Raises:
        UsageError: ``copies`` is no whole number of at least 1.
    """
    if type(copies) is not int or copies < 1:
        raise UsageError(f"dataset.copies is {copies!r}; give a whole number of copies of at least 1")
    images, captions = len(split.image_ids), len(split.captions)
    note = (
        f"split {split.name}: {copies:,} copies of {images:,} images and {captions:,} captions (dataset.copies); an "
        "item ties with its copies, so that instance metrics are lower than on the split itself"
    )
    return replace(
        split,
        dataset=f"{split.dataset}(x{copies})",
        image_ids=copied_ids(split.image_ids, copies),
        image_paths=split.image_paths * copies,
        caption_ids=copied_ids(split.caption_ids, copies),
        captions=split.captions * copies,
        tokens=split.tokens * copies,
        correspondence=copied_correspondence(split.correspondence, images, copies),
        labels=None if split.labels is None else np.tile(split.labels, (copies, 1)),
        fingerprint=copied_fingerprint(split.fingerprint, copies),
        notes=(*split.notes, note),
    )


def copied_fingerprint(fingerprint: str, copies: int) -> str:
    """Fingerprint of a split several times over."""
    return hashlib.sha256(f"{fingerprint} x{copies}".encode()).hexdigest()


def copied_inputs(inputs: SplitInputs, copies: int) -> SplitInputs:
    """What a model is fed of such a split: every row is read as often as it has copies, and stored once."""
    labels = None if inputs.labels is None else np.tile(inputs.labels, (copies, 1))
    texts: Any = inputs.texts * copies if isinstance(inputs.texts, tuple) else CopiedRows(inputs.texts, copies)
    return SplitInputs(CopiedRows(inputs.images, copies), texts, labels)


class CopiedRows(Sequence[np.ndarray]):
    """Rows that begin again ``copies`` times.

    Args:
        rows: An array, or rows that are made on access.
        copies: At least 1.
    """

    def __init__(self, rows: np.ndarray | ReadRows, copies: int) -> None:
        self._rows, self._copies = rows, copies

    @property
    def is_lazy(self) -> bool:
        """Whether each row costs reading a file, so that several processes should."""
        return isinstance(self._rows, ReadRows) and self._rows.is_lazy

    @property
    def row_bytes(self) -> int:
        """Bytes that are stored for a row."""
        return self._rows.row_bytes if isinstance(self._rows, ReadRows) else int(self._rows[0].nbytes)

    def for_training(self) -> "CopiedRows":
        """The same rows, which `varied` perhaps varies."""
        rows = self._rows.for_training() if isinstance(self._rows, ReadRows) else self._rows
        return CopiedRows(rows, self._copies)

    def varied(self, row: int, random: np.random.Generator) -> np.ndarray:
        """A row as a training takes it."""
        rows = self._rows
        return rows.varied(row % len(rows), random) if isinstance(rows, ReadRows) else self[row]

    def __len__(self) -> int:
        return len(self._rows) * self._copies

    def __getitem__(self, row: int) -> np.ndarray:  # type: ignore[override]
        if not 0 <= row < len(self):
            raise IndexError(row)
        return np.asarray(self._rows[row % len(self._rows)])
