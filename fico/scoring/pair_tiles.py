"""Tiles of candidate pairs: grouped by image, captions by length, many short lists in one call of the scorer."""

from collections.abc import Callable
from functools import partial
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from fico.errors import DataError
from fico.protocols import ListMatcher, ListScorer, Matcher, PackedScorer, PairScorer
from fico.scoring.caption_rows import CaptionRows, even_lists, stacked_lists
from fico.scoring.match_tiles import MatchListTiles, MatchTiles
from fico.scoring.packed_tiles import PackedTiles
from fico.types import EncodedBatch

_MATCHED = {"cpu": 64, "cuda": 4096}  # pairs that are matched at once
_LISTED = {"cpu": 128, "cuda": 16384}  # pairs of lists scored at once; on a CPU their attention stays in its cache
_PACKED = {"cpu": 1024, "cuda": 16384}  # pairs of packed rows scored at once
_LIST = 8  # captions of a list: few enough to be of about one length, many enough for one product


class PairTiles(Protocol):
    """Pairs in tiles, and how a scorer takes a tile."""

    size: int
    """Most pairs of a tile."""
    score: Callable[..., Tensor]
    """Takes the `arguments` of a tile and gives as many scores as it has `cells`, in their order."""

    def __len__(self) -> int:
        """Number of tiles."""
        ...

    def cells(self, tile: int) -> tuple[int, Int64[np.ndarray, "..."]]:
        """Where the scores of the tile's pairs stand in a matrix of one row."""
        ...

    def arguments(self, tile: int) -> tuple[Tensor, Tensor, Tensor]:
        """Of `score`."""
        ...


def pair_tiles(
    scorer: Matcher | PairScorer,
    encoded: EncodedBatch,
    pairs: Int64[np.ndarray, " pairs"],
    size: int | None,
    device: torch.device,
) -> PairTiles:
    """Tiles in the form that a scorer takes: pairs with states, or for each image packed captions or lists of them.

    Args:
        scorer: One that has ``match`` is given states.
        encoded: The rows of both sides.
        pairs: Each as ``image * captions + caption``, ascending.
        size: Most pairs of a tile; None: 64 (states), 1,024 (packed) or 128 (lists) on a CPU, 4,096 (states) or 16,384
            on a GPU.
        device: Of the scorer.

    Raises:
        DataError: It takes states, and there are none.
    """
    if isinstance(scorer, Matcher):
        check_states(scorer, encoded)
        most = size or _MATCHED.get(device.type, _MATCHED["cuda"])
        if isinstance(scorer, ListMatcher):
            return MatchListTiles(scorer, encoded, pairs, most, device)
        return MatchTiles(scorer, encoded, pairs, most, device)
    if isinstance(scorer, PackedScorer) and scorer.takes_packed:
        return PackedTiles(scorer, encoded, pairs, size or _PACKED.get(device.type, _PACKED["cuda"]), device)
    return ListTiles(scorer, encoded, pairs, size or _LISTED.get(device.type, _LISTED["cuda"]), device)


def check_states(scorer: Matcher | PairScorer, encoded: EncodedBatch) -> None:
    """Refuse a batch without the states that a matcher takes.

    Raises:
        DataError: There are none.
    """
    if isinstance(scorer, Matcher) and (encoded.image_states is None or encoded.text_states is None):
        raise DataError("there are no states to score pairs with; encode with image_states and text_states")


class ListTiles:
    """Short lists of captions of about one length, each with its image, for a pair scorer.

    An image's captions are sorted by length and cut into lists of at most 8; lists of the same number and similar
    length from all images form a tile, so that it holds little padding and the calls are few.
    """

    def __init__(
        self,
        scorer: PairScorer,
        encoded: EncodedBatch,
        pairs: Int64[np.ndarray, " pairs"],
        size: int,
        device: torch.device,
    ) -> None:
        self.size = size
        self.score = scorer.score_lists if isinstance(scorer, ListScorer) else _one_by_one(scorer)
        self._device, self._images = device, encoded.images
        self._texts = CaptionRows(encoded.texts, encoded.text_lengths, device, has_words=encoded.texts.ndim > 2)
        self._image, self._text = np.divmod(pairs, len(encoded.texts))
        length = self._texts.lengths.numpy()[self._text]
        self._tiles = list(stacked_lists(self._image, length, partial(even_lists, most=min(_LIST, size)), size))

    def __len__(self) -> int:
        return len(self._tiles)

    def cells(self, tile: int) -> tuple[int, Int64[np.ndarray, " tile"]]:
        """Of `PairTiles`."""
        return 0, self._tiles[tile].ravel()

    def arguments(self, tile: int) -> tuple[Tensor, Tensor, Tensor]:
        """Vectors and lengths; of the captions an axis of the images is in front."""
        cells = self._tiles[tile]
        texts, lengths = self._texts[self._text[cells]]
        return self._images[torch.from_numpy(self._image[cells[:, 0]])].to(self._device), texts, lengths


def _one_by_one(scorer: PairScorer) -> Callable[..., Tensor]:
    """Scores lists by a pair scorer that takes every image with every text alone."""

    def score(images: Tensor, texts: Tensor, lengths: Tensor) -> Tensor:
        rows = zip(images.split(1), texts, lengths, strict=True)
        return torch.cat([scorer.score(*row) for row in rows])

    return score
