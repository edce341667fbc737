"""The work of scoring a set that holds a split several times over, from the rows of the split alone."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from fico.protocols import PairScorer
from fico.scoring.candidates import Candidates
from fico.scoring.matrix import repeat_scoring
from fico.types import EncodedBatch


class Copies:
    """So many images with their captions: the first ones of a split, and beyond it all of its rows again and again.

    No row is copied; scoring a copy of a row is the work of scoring the row once more.

    Args:
        encoded: The whole split, in the order of its ids.
        owners: The image row of each caption.
        images: At least 1.
    """

    def __init__(self, encoded: EncodedBatch, owners: Int64[np.ndarray, " captions"], images: int) -> None:
        whole, rest = divmod(images, len(encoded.images))
        image_copies = whole + (np.arange(len(encoded.images)) < rest)
        text_copies = whole + (owners < rest)
        self.rows = part(encoded, np.flatnonzero(image_copies), np.flatnonzero(text_copies))
        """The rows of which the set has at least one copy."""
        self.image_copies, self.text_copies = image_copies[image_copies > 0], text_copies[text_copies > 0]

    @property
    def images(self) -> int:
        """Images of the set."""
        return int(self.image_copies.sum())

    @property
    def captions(self) -> int:
        """Captions of the set."""
        return int(self.text_copies.sum())

    def score_all(self, scorer: PairScorer) -> None:
        """Score each pair of the set and keep no score."""
        for images, image_copies in _alike(self.image_copies):
            for texts, text_copies in _alike(self.text_copies):
                repeat_scoring(scorer, part(self.rows, images, texts), image_copies * text_copies)

    def candidate_pairs(self, first: Candidates, k: int) -> "CopiedPairs":
        """The k candidates of each query of the set, where the copies of an item follow one another in a ranking.

        Args:
            first: The candidates of the `rows`: ``k``, or all.
            k: Candidates in the set.
        """
        pairs = first.pairs
        of_image, of_text = np.zeros((2, len(pairs)), np.int64)
        for times, keys, items, copies in zip(
            (of_image, of_text), first.keys(), (first.i2t.indices, first.t2i.indices),
            (self.text_copies, self.image_copies), strict=True,
        ):  # fmt: skip
            found = copies[items]
            before = found.cumsum(axis=1) - found
            times[np.searchsorted(pairs, keys)] = np.clip(k - before, 0, found)
        image, text = np.divmod(pairs, len(self.text_copies))
        return CopiedPairs(pairs, self.image_copies[image], self.text_copies[text], of_image, of_text)


@dataclass(frozen=True, slots=True, eq=False)
class CopiedPairs:
    """Pairs of rows, and how many pairs of their copies are candidates in either direction.

    Args:
        pairs: Each as ``image * captions + caption``, ascending, of the rows.
        images: Copies of the pair's image.
        captions: Copies of its caption.
        of_image: The first copies of the caption that each copy of the image has as candidates.
        of_text: The first copies of the image that each copy of the caption has.
    """

    pairs: Int64[np.ndarray, " pairs"]
    images: Int64[np.ndarray, " pairs"]
    captions: Int64[np.ndarray, " pairs"]
    of_image: Int64[np.ndarray, " pairs"]
    of_text: Int64[np.ndarray, " pairs"]

    def __len__(self) -> int:
        return int((self.of_text * self.captions + (self.images - self.of_text) * self.of_image).sum())

    def by_copy(self) -> Iterator[Int64[np.ndarray, " scored"]]:
        """Of each copy of the images the pairs to score, a pair as often as it has copies of the caption."""
        for copy in range(self.images.max()):
            times = np.where(copy < self.of_text, self.captions, self.of_image)
            yield np.repeat(self.pairs, np.where(copy < self.images, times, 0))


def part(
    encoded: EncodedBatch, images: Int64[np.ndarray, " images"], texts: Int64[np.ndarray, " texts"]
) -> EncodedBatch:
    """Some images and captions with ids of their own; neighbours are not copied.

    Args:
        encoded: The rows.
        images: Rows to take, ascending.
        texts: The same.
    """

    def taken(values: Tensor, rows: Int64[np.ndarray, " rows"]) -> Tensor:
        is_range = len(rows) > 0 and rows[-1] - rows[0] == len(rows) - 1
        return values[rows[0] : rows[-1] + 1] if is_range else values[torch.from_numpy(rows)]

    optional = (encoded.text_lengths, texts), (encoded.image_states, images), (encoded.text_states, texts)
    return EncodedBatch(
        taken(encoded.images, images),
        torch.arange(len(images)),
        taken(encoded.texts, texts),
        torch.arange(len(texts)),
        *(None if values is None else taken(values, rows) for values, rows in optional),
    )


def _alike(copies: Int64[np.ndarray, " rows"]) -> Iterator[tuple[Int64[np.ndarray, " alike"], int]]:
    """The rows of each number of copies."""
    for count in np.unique(copies).tolist():
        yield np.flatnonzero(copies == count), count
