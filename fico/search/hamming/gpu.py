"""The exact Hamming search on a GPU: codes as +1 and -1, whose product tells the distance."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from fico.search.gpu.delivery import delivered
from fico.search.gpu.device import free_device_memory, has_triton, require_device_memory
from fico.search.hamming.layout import GPU_FILL, GPU_ID_BITS
from fico.search.hamming.scan import as_words
from fico.search.products import nearest_of_blocks
from fico.types import Ranking

_PAIRS = 2**28  # scores of one block of plain products: 1 GiB
_TILE_BYTES = 2**32  # of a tile of queries in the fused passes, at most
_TILE = 32_768  # queries of a tile, at most
_WIDEST = 2**14  # bits; the fused passes keep distances as 16-bit integers

Nearest = Callable[[tuple[Tensor, Tensor], tuple[Tensor, Tensor], int, int, int], Tensor]  # `popcount_triton.nearest`


def codes_on(device: str) -> "DeviceCodes":
    """Codes that lie on a device; the fused passes where Triton is, plain products elsewhere."""
    if not has_triton():
        return DeviceCodes(device)
    from fico.search.hamming.gpu_triton import nearest

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
        if not self._is_fused:
            return self._by_products(queries, k)
        tiles = (
            (rows, -(hits >> GPU_ID_BITS).to(torch.int32), hits & ((1 << GPU_ID_BITS) - 1))
            for rows, hits in self.tiles(queries, k)
        )
        return delivered(tiles, len(queries), k, np.int32)

    @property
    def _is_fused(self) -> bool:
        return self._nearest is not None and 8 * self.rows().shape[1] <= _WIDEST

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
        room = min(_TILE_BYTES, free_device_memory(self.device) // 2)
        step = max(1, min(_TILE, room // (6 * count // 64 + 24 * k)))
        for start in range(0, len(queries), step):
            rows = slice(start, min(start + step, len(queries)))
            if self._nearest is not None and self._is_fused:
                asked = self._signs(queries[rows]), _words(queries[rows]).to(self.device)
                yield rows, self._nearest(asked, items, count, k, bits)
            else:
                found = self._by_products(queries[rows], k)
                hits = -found.scores.astype(np.int64) << GPU_ID_BITS | found.indices
                yield rows, torch.from_numpy(hits).to(self.device)

    def _by_products(self, queries: np.ndarray, k: int) -> Ranking:
        """Plain products by blocks; the oracle of the fused passes."""
        items, length = self._on_device()[0], len(self.rows())
        width, bits = min(length, max(k, 2**18)), 8 * queries.shape[1]
        height = max(1, _PAIRS // width)
        blocks = [items[start : min(start + width, length), :bits] for start in range(0, length, width)]
        parts = [
            nearest_of_blocks(self._signs(queries[at : at + height])[:, :bits].float(), blocks, "hamming", k)
            for at in range(0, len(queries), height)
        ]
        return Ranking(
            np.concatenate([part.scores for part in parts]).astype(np.int32),
            np.concatenate([part.indices for part in parts]),
        )

    def _on_device(self) -> tuple[Tensor, Tensor]:
        """Signs ``padded width`` and words ``words padded`` of all codes.

        Raises:
            UsageError: The device has no room for them (the predicted size is named).
        """
        if self._items is None:
            codes = self.rows()
            bits = 8 * codes.shape[1]
            require_device_memory(self.device, len(codes) * bytes_on_device(bits), f"{len(codes)} codes of {bits} bits")
            short = -len(codes) % GPU_FILL
            words = torch.nn.functional.pad(_words(codes).T, (0, short)).contiguous().to(self.device)
            self._items = self._signs(codes, short), words
        return self._items

    def _signs(self, codes: np.ndarray, more: int = 0) -> Tensor:
        """Signs as bytes; columns filled up with zeros, which add nothing to a product, to a power of 2; more rows."""
        bits = 8 * codes.shape[1]
        signs = torch.zeros(len(codes) + more, _width(bits), dtype=torch.int8, device=self.device)
        place = torch.arange(7, -1, -1, dtype=torch.uint8, device=self.device)
        for at in range(0, len(codes), 2**18):
            block = torch.from_numpy(codes[at : at + 2**18]).to(self.device)
            ones = (block[:, :, None] >> place & 1).to(torch.int8)
            signs[at : at + len(block), :bits] = (2 * ones - 1).reshape(len(block), bits)
        return signs


def bytes_on_device(bits: int) -> int:
    """Bytes of a code there: a sign for each bit, and words."""
    return _width(bits) + 8 * -(-bits // 64)


def _width(bits: int) -> int:
    return max(32, 1 << (bits - 1).bit_length())


def _words(codes: np.ndarray) -> Tensor:
    return torch.from_numpy(as_words(codes).view(np.int64))
