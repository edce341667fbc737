"""Torch data sets over the features of a split, and the collation of their samples."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor
from torch.utils.data import Dataset

from fico.datasets.base import RetrievalSplit
from fico.errors import DataError
from fico.features.base import ReadRows, SplitInputs
from fico.features.vocabulary import PAD
from fico.types import PairBatch


@dataclass(frozen=True, slots=True, eq=False)
class PairSample:
    """One image with one caption (training) or with all of its captions (evaluation).

    Args:
        image: The image's features.
        image_row: Its row in the split.
        texts: Features or word ids of each caption.
        text_rows: Their rows in the split.
        labels: The image's categories, where there are any.
    """

    image: np.ndarray
    image_row: int
    texts: tuple[np.ndarray, ...]
    text_rows: tuple[int, ...]
    labels: np.ndarray | None


class CaptionPairs(Dataset[PairSample]):
    """For training: sample ``i`` is caption ``i`` of the split with its image.

    What varies an image is drawn from seed, epoch and ``i``: the same in every process, with any number of them.

    Args:
        split: Its correspondence pairs captions with images.
        inputs: Features of the same split.
        seed: Of the training.

    Attributes:
        epoch: Set by the sampler.

    Raises:
        DataError: The number of feature rows is not that of the split.
    """

    def __init__(self, split: RetrievalSplit, inputs: SplitInputs, seed: int = 0) -> None:
        _check_rows(split, inputs)
        self._read = inputs.images.for_training() if isinstance(inputs.images, ReadRows) else None
        self.inputs = inputs if self._read is None else replace(inputs, images=self._read)
        self.image_rows = split.correspondence.caption_to_image
        self.seed, self.epoch = seed, 0

    def __len__(self) -> int:
        return len(self.image_rows)

    def __getitem__(self, index: int) -> PairSample:
        row = int(self.image_rows[index])
        if self._read is None:
            return _sample(self.inputs, self.inputs.images[row], row, (index,))
        random = np.random.default_rng([self.seed, self.epoch, index])
        return _sample(self.inputs, self._read.varied(row, random), row, (index,))


class ImageGroups(Dataset[PairSample]):
    """For evaluation: sample ``i`` is image ``i`` of the split with all of its captions.

    Args:
        split: Its correspondence pairs captions with images.
        inputs: Features of the same split.

    Raises:
        DataError: The number of feature rows is not that of the split.
    """

    def __init__(self, split: RetrievalSplit, inputs: SplitInputs) -> None:
        _check_rows(split, inputs)
        self.name, self.inputs = split.name, inputs
        self.text_rows: list[list[int]] = [[] for _ in split.image_ids]
        for caption, image in enumerate(split.correspondence.caption_to_image):
            self.text_rows[image].append(caption)

    def __len__(self) -> int:
        return len(self.text_rows)

    def __getitem__(self, index: int) -> PairSample:
        return _sample(self.inputs, self.inputs.images[index], index, tuple(self.text_rows[index]))


class CopiedGroups(Dataset[PairSample]):
    """Samples of `ImageGroups` several times over, each copy with rows of its own; nothing is stored twice.

    Args:
        groups: Every image with its captions.
        copies: At least 1.
    """

    def __init__(self, groups: ImageGroups, copies: int) -> None:
        self.name, self.inputs = groups.name, groups.inputs
        self.groups, self.copies = groups, copies
        self.captions = sum(map(len, groups.text_rows))

    def __len__(self) -> int:
        return len(self.groups) * self.copies

    def __getitem__(self, index: int) -> PairSample:
        copy, row = divmod(index, len(self.groups))
        sample = self.groups[row]
        text_rows = tuple(row + copy * self.captions for row in sample.text_rows)
        return replace(sample, image_row=index, text_rows=text_rows)


def _length(text: np.ndarray) -> int:
    """Words of a caption: all of its ids, or its states before the padding of zero rows."""
    return len(text) if text.ndim == 1 else int(np.flatnonzero(text.any(axis=1)).max(initial=-1)) + 1


def collate(samples: Sequence[PairSample]) -> PairBatch:
    """Stack samples to a batch; word ids are padded with 0, and word ids and word states come with their lengths."""
    texts, lengths = collate_texts([text for sample in samples for text in sample.texts])
    labels = [sample.labels for sample in samples if sample.labels is not None]
    return PairBatch(
        images=torch.from_numpy(np.stack([sample.image for sample in samples])),
        image_ids=torch.tensor([sample.image_row for sample in samples]),
        texts=texts,
        text_ids=torch.tensor([row for sample in samples for row in sample.text_rows]),
        lengths=lengths,
        labels=torch.from_numpy(np.stack(labels)) if labels else None,
    )


def collate_texts(texts: Sequence[np.ndarray]) -> tuple[Tensor, Tensor | None]:
    """Stack texts: word ids padded with 0, word states and features as they are; lengths of all but features."""
    is_words = np.issubdtype(texts[0].dtype, np.integer)
    rows = torch.from_numpy(_padded(texts) if is_words else np.stack(texts))
    has_words = is_words or texts[0].ndim == 2
    return rows, torch.tensor([_length(text) for text in texts]) if has_words else None


def _padded(texts: Sequence[Int64[np.ndarray, " words"]]) -> Int64[np.ndarray, "texts words"]:
    rows = np.full((len(texts), max(map(len, texts))), PAD, dtype=np.int64)
    for row, text in zip(rows, texts, strict=True):
        row[: len(text)] = text
    return rows


def _sample(inputs: SplitInputs, image: np.ndarray, image_row: int, text_rows: tuple[int, ...]) -> PairSample:
    return PairSample(
        image=image,
        image_row=image_row,
        texts=tuple(inputs.texts[row] for row in text_rows),
        text_rows=text_rows,
        labels=None if inputs.labels is None else inputs.labels[image_row],
    )


def _check_rows(split: RetrievalSplit, inputs: SplitInputs) -> None:
    got = (len(inputs.images), len(inputs.texts))
    wanted = (len(split.image_ids), len(split.captions))
    if got != wanted:
        raise DataError(
            f"split {split.name} of {split.dataset} has {wanted[0]} images and {wanted[1]} captions, "
            f"but the features have {got[0]} and {got[1]} rows; make the features again"
        )
