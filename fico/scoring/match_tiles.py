"""Tiles of candidate pairs for matchers, which take states of both sides."""

from functools import partial
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from fico.embeddings.encode import AutoBatchSize
from fico.protocols import ListMatcher, Matcher
from fico.scoring.caption_rows import CaptionRows, lists_by_fours, pairs_by_image, stacked_lists
from fico.types import EncodedBatch

_LIST = {"cpu": 16, "cuda": 32}  # captions of a list: few enough to be of about one length
_GROUP = {"cpu": 4, "cuda": 64}  # images whose keys are held: 12.5 MB each in half precision for BLIP-2


class MatchTiles:
    """Pairs of one image each, its captions sorted by length, for a `Matcher`."""

    def __init__(
        self,
        scorer: Matcher,
        encoded: EncodedBatch,
        pairs: Int64[np.ndarray, " pairs"],
        size: int,
        device: torch.device,
    ) -> None:
        assert encoded.image_states is not None
        assert encoded.text_states is not None
        self.size, self.score = size, scorer.match
        self._device, self._images = device, encoded.image_states
        self._texts = CaptionRows(encoded.text_states, encoded.text_lengths, device)
        image, self._text = np.divmod(pairs, len(encoded.texts))
        self._order = np.lexsort((self._texts.lengths.numpy()[self._text], image))
        self._tiles = [
            (int(image[start]), slice(at, min(at + size, stop)))
            for start, stop in pairs_by_image(image).tolist()
            for at in range(start, stop, size)
        ]

    def __len__(self) -> int:
        return len(self._tiles)

    def cells(self, tile: int) -> tuple[int, Int64[np.ndarray, " tile"]]:
        """Of `PairTiles`."""
        return 0, self._order[self._tiles[tile][1]]

    def arguments(self, tile: int) -> tuple[Tensor, Tensor, Tensor]:
        """States and lengths."""
        image = self._tiles[tile][0]
        texts, lengths = self._texts[self._text[self.cells(tile)[1]]]
        states = self._images[image : image + 1].to(self._device)
        return states.expand(len(texts), *states.shape[1:]), texts, lengths  # a view, as `Matcher` says


class MatchListTiles:
    """Short lists of captions of about one length, each with the keys of its image, for a `ListMatcher`.

    Images are taken in groups, whose keys are computed once and held while all of their pairs are scored.
    """

    def __init__(
        self,
        scorer: ListMatcher,
        encoded: EncodedBatch,
        pairs: Int64[np.ndarray, " pairs"],
        size: int,
        device: torch.device,
    ) -> None:
        assert encoded.image_states is not None
        assert encoded.text_states is not None
        self.size, self.score = size, scorer.match_lists
        self._device, self._images = device, encoded.image_states
        self._texts = CaptionRows(encoded.text_states, encoded.text_lengths, device)
        self._image, self._text = np.divmod(pairs, len(encoded.texts))
        length = self._texts.lengths.numpy()[self._text]
        most, images = (sizes.get(device.type, sizes["cuda"]) for sizes in (_LIST, _GROUP))
        cut = partial(lists_by_fours, most=min(most, size))
        present, first = np.unique(self._image, return_index=True)
        self._groups = np.split(present, range(images, len(present), images))
        self._tiles = [
            (group, start + cells)
            for group, (start, stop) in enumerate(pairwise([*first[::images].tolist(), len(pairs)]))
            for cells in stacked_lists(self._image[start:stop], length[start:stop], cut, size)
        ]
        self._make_keys = AutoBatchSize(scorer.image_keys)
        self._held: tuple[int, Tensor] | None = None

    def __len__(self) -> int:
        return len(self._tiles)

    def cells(self, tile: int) -> tuple[int, Int64[np.ndarray, " tile"]]:
        """Of `PairTiles`."""
        return 0, self._tiles[tile][1].ravel()

    def arguments(self, tile: int) -> tuple[Tensor, Tensor, Tensor]:
        """Keys of the image of each list; states and lengths with an axis of the lists in front."""
        group, cells = self._tiles[tile]
        rows = torch.from_numpy(np.searchsorted(self._groups[group], self._image[cells[:, 0]]))
        texts, lengths = self._texts[self._text[cells]]
        return self._keys(group)[rows.to(self._device)], texts, lengths

    def _keys(self, group: int) -> Tensor:
        """Of the images of a group; those of another one are let go first."""
        if self._held is None or self._held[0] != group:
            self._held = None
            states = self._images[torch.from_numpy(self._groups[group])].to(self._device)
            self._held = group, self._make_keys(states)
        return self._held[1]
