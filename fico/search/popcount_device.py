"""The exact Hamming search on a GPU: codes as +1 and -1, whose product tells the distance."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from fico.search.base import merge
from fico.search.delivery import delivered
from fico.search.device import has_triton, need_device_memory
from fico.search.popcount_scan import as_words
from fico.search.products import scores, top_k
from fico.types import Ranking

ID_BITS = 40  # a hit is one integer: distance above, id below
_PAIRS = 2**28  # scores of one block of plain products: 1 GiB
_TILE_BYTES = 2**32  # of a tile of queries in the fused passes
_FILL = 128  # items are filled up to a multiple of so many

Nearest = Callable[[tuple[Tensor, Tensor], tuple[Tensor, Tensor], int, int, int], Tensor]  # `popcount_triton.nearest`


def codes_on(device: str) -> "DeviceCodes":
    """Codes that lie on a device; the fused passes where Triton is, plain products elsewhere."""
    if not has_triton():
        return DeviceCodes(device)
    from fico.search.popcount_triton import nearest

    return DeviceCodes(device, nearest)


class DeviceCodes:
    """Codes on a device, a byte for each bit, since tensor cores multiply bytes, and packed.

    Args:
        device: As torch names it.
        nearest: The fused passes. None: plain products.
    """

    def __init__(self, device: str, nearest: Nearest | None = None) -> None:
        self.device, self._nearest = device, nearest
        self._added: list[np.ndarray] = []
        self._items: tuple[Tensor, Tensor] | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes of the packed codes, and of what lies on the device."""
        packed = sum(codes.nbytes for codes in self._added)
        return packed + sum(part.numel() * part.element_size() for part in self._items or ())

    def add(self, codes: np.ndarray) -> None:
        """Takes rows of bytes."""
        self._added.append(codes)
        self._items = None

    def rows(self) -> np.ndarray:
        """All codes as rows of bytes."""
        if len(self._added) > 1:
            self._added = [np.concatenate(self._added)]
        return self._added[0]

    def search(self, queries: np.ndarray, k: int) -> Ranking:
        """The k nearest codes of each query (rows of bytes), ties by lowest id."""
        if self._nearest is None:
            return self._by_products(queries, k)
        tiles = (
            (rows, -(hits >> ID_BITS).to(torch.int32), hits & ((1 << ID_BITS) - 1))
            for rows, hits in self.tiles(queries, k)
        )
        return delivered(tiles, len(queries), k, np.int32)

    def tiles(self, queries: np.ndarray, k: int) -> Iterator[tuple[slice, Tensor]]:
        """The k nearest codes, some queries at a time.

        Args:
            queries: Rows of bytes.
            k: Places.

        Yields:
            Which queries, and for each ``k`` of ``distance << 40 | item``, ascending, on the device.
        """
        count, bits = len(self.rows()), 8 * queries.shape[1]
        items = self._on_device()
        # A distance and a place in the list for each group of 64 items, and the hits twice while they are sorted.
        step = max(128, _TILE_BYTES // (6 * count // 64 + 24 * k))
        for start in range(0, len(queries), step):
            rows = slice(start, min(start + step, len(queries)))
            if self._nearest is None:
                found = self._by_products(queries[rows], k)
                hits = -found.scores.astype(np.int64) << ID_BITS | found.indices
                yield rows, torch.from_numpy(hits).to(self.device)
            else:
                asked = self._signs(queries[rows]), _words(queries[rows]).to(self.device)
                yield rows, self._nearest(asked, items, count, k, bits)

    def _by_products(self, queries: np.ndarray, k: int) -> Ranking:
        """Plain products by blocks; the oracle of the fused passes."""
        items, length = self._on_device()[0], len(self.rows())
        width = min(length, max(k, 2**18))
        height = max(1, _PAIRS // width)
        bits = 8 * queries.shape[1]
        parts = []
        for at in range(0, len(queries), height):
            left = self._signs(queries[at : at + height])[:, :bits].float()
            best: Ranking | None = None
            for start in range(0, length, width):
                right = items[start : min(start + width, length), :bits].float()
                found = top_k(scores(left, right, "hamming"), min(k, len(right)), start)
                best = found if best is None else merge([best, found], k)
            assert best is not None
            parts.append(best)
        return Ranking(
            np.concatenate([p.scores for p in parts]).astype(np.int32), np.concatenate([p.indices for p in parts])
        )

    def _on_device(self) -> tuple[Tensor, Tensor]:
        """Signs ``padded width`` and words ``words padded`` of all codes.

        Raises:
            UsageError: The device has no room for them (the predicted size is named).
        """
        if self._items is None:
            codes = self.rows()
            size = len(codes) * (_width(codes) + codes.shape[1])
            need_device_memory(self.device, size, f"{len(codes)} codes of {8 * codes.shape[1]} bits, a byte each,")
            short = -len(codes) % _FILL
            words = torch.nn.functional.pad(_words(codes).T, (0, short)).contiguous().to(self.device)
            self._items = self._signs(codes, short), words
        return self._items

    def _signs(self, codes: np.ndarray, more: int = 0) -> Tensor:
        """Signs as bytes; columns filled up with zeros, which add nothing to a product, to a power of 2; more rows."""
        bits = 8 * codes.shape[1]
        signs = torch.zeros(len(codes) + more, _width(codes), dtype=torch.int8, device=self.device)
        place = torch.arange(7, -1, -1, dtype=torch.uint8, device=self.device)
        for at in range(0, len(codes), 2**18):
            block = torch.from_numpy(codes[at : at + 2**18]).to(self.device)
            ones = (block[:, :, None] >> place & 1).to(torch.int8)
            signs[at : at + len(block), :bits] = (2 * ones - 1).reshape(len(block), bits)
        return signs


def _width(codes: np.ndarray) -> int:
    """Columns of the signs of codes."""
    return max(32, 1 << (8 * int(codes.shape[1]) - 1).bit_length())


def _words(codes: np.ndarray) -> Tensor:
    return torch.from_numpy(as_words(codes).view(np.int64))
