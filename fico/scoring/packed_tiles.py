"""Tiles of candidate pairs whose captions are packed: an image's words in one row, without padding between captions."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from fico.protocols import PackedScorer
from fico.scoring.caption_rows import CaptionRows, pairs_by_image
from fico.types import EncodedBatch


class PackedTiles:
    """Images with the words of their candidate captions in one row each, for a `PackedScorer`.

    Images with about as many words form a tile, so that little padding stands behind the shorter rows.

    Args:
        scorer: Its ``takes_packed`` is True.
        encoded: The vectors of regions and words.
        pairs: Each as ``image * captions + caption``, ascending.
        size: Most pairs of a tile.
        device: Of the scorer.
    """

    def __init__(
        self,
        scorer: PackedScorer,
        encoded: EncodedBatch,
        pairs: Int64[np.ndarray, " pairs"],
        size: int,
        device: torch.device,
    ) -> None:
        self.size, self.score = size, scorer.score_packed
        self._device, self._images = device, encoded.images
        self._texts = CaptionRows(encoded.texts, encoded.text_lengths, device)
        self._image, self._text = np.divmod(pairs, len(encoded.texts))
        self._lengths = self._texts.lengths.numpy()[self._text]
        self._tiles = list(self._stacked(pairs_by_image(self._image, size)))

    def __len__(self) -> int:
        return len(self._tiles)

    def cells(self, tile: int) -> tuple[int, Int64[np.ndarray, " pairs"]]:
        """Of `PairTiles`."""
        return 0, np.concatenate([np.arange(start, stop) for start, stop in self._tiles[tile]])

    def arguments(self, tile: int) -> tuple[Tensor, Tensor, Tensor]:
        """Vectors of the regions, packed words, and the length of each caption."""
        starts, stops = self._tiles[tile].T
        counts = stops - starts
        cells = self.cells(tile)[1]
        lengths = np.zeros((len(counts), counts.max()), np.int64)
        lengths[np.arange(counts.max()) < counts[:, None]] = self._lengths[cells]
        images = self._images[torch.from_numpy(self._image[starts])].to(self._device)
        return images, self._texts.packed(self._text[cells], lengths), torch.from_numpy(lengths).to(self._device)

    def _stacked(self, rows: Int64[np.ndarray, "rows two"]) -> Iterator[Int64[np.ndarray, "rows two"]]:
        """Tiles of rows, given by their first and last pair, with no more words than the mean of ``size`` pairs has."""
        words = np.add.reduceat(self._lengths, rows[:, 0])
        order, most = np.argsort(words, kind="stable"), self.size * self._lengths.mean()
        start = 0
        for at in range(1, len(order) + 1):
            if at == len(order) or (at - start + 1) * words[order[at]] > most:
                yield rows[order[start:at]]
                start = at
