"""The GPU path of the Hamming search: codes as +1 and -1, whose inner product gives the distance."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from fico.codes import HashCodes
from fico.search.brute_force import nearest_of_blocks
from fico.search.gpu.device import free_device_memory, fuses_kernels, require_device_memory, shared_memory
from fico.search.gpu.to_host import to_host
from fico.search.hamming.layout import GPU_FILL, GPU_ID_BITS, pipeline_stages
from fico.types import Ranking

_PAIRS = 2**28  # scores of one block of plain products: 1 GiB
_TILE_BYTES = 2**32  # of a tile of queries in the fused kernels, at most
_TILE = 32_768  # queries of a tile, at most
_WIDEST = 2**14  # bits; the fused kernels keep distances as 16-bit integers

Nearest = Callable[[tuple[Tensor, Tensor], tuple[Tensor, Tensor], int, int, int, int], Tensor]  # `gpu_triton.nearest`


def codes_on(device: str) -> "DeviceCodes":
    """Codes that lie on a device; searched by fused kernels on a GPU with Triton, by plain products elsewhere."""
    if not fuses_kernels(device):
        return DeviceCodes(device)
    from fico.search.hamming.gpu_triton import nearest

    return DeviceCodes(device, nearest)


class DeviceCodes:
    """Codes on a device, a byte for each bit, since tensor cores multiply bytes, and packed.

    Args:
        device: As torch names it.
        nearest: The fused kernels. None: plain products.
    """

    def __init__(self, device: str, nearest: Nearest | None = None) -> None:
        self.device, self._nearest = device, nearest
        self._added: list[HashCodes] = []
        self._items: tuple[Tensor, Tensor] | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes of the packed codes, and of what lies on the device."""
        packed = sum(codes.nbytes for codes in self._added)
        return packed + sum(part.numel() * part.element_size() for part in self._items or ())

    def add(self, codes: HashCodes) -> None:
        """Adds codes, whose words no other code may write to."""
        self._added.append(codes)
        self._items = None

    def codes(self) -> HashCodes:
        """All codes."""
        self._added = [HashCodes.joined(self._added)]
        return self._added[0]

    def prepare(self) -> None:
        """Brings the added codes to the device."""
        self._on_device()

    def search(self, queries: HashCodes, k: int, mask: np.ndarray | None = None) -> Ranking:
        """The k nearest codes of each query, ties by lowest id; of those that ``mask`` allows, at least k."""
        if mask is not None:
            some = DeviceCodes(self.device, self._nearest)
            some.add(self.codes()[mask])
            found = some.search(queries, k)
            return Ranking(found.scores, np.flatnonzero(mask)[found.indices])
        if not self._stages:
            return self._by_products(queries, k)
        tiles = (
            (rows, -(hits >> GPU_ID_BITS).to(torch.int32), hits & ((1 << GPU_ID_BITS) - 1))
            for rows, hits in self.tiles(queries, k)
        )
        return to_host(tiles, len(queries), k, np.int32)

    @property
    def _stages(self) -> int:
        """Pipeline stages of the fused kernels; 0 where plain products serve."""
        return 0 if self._nearest is None else fused_stages(self.device, self.codes().bits)

    def tiles(self, queries: HashCodes, k: int) -> Iterator[tuple[slice, Tensor]]:
        """The k nearest codes, some queries at a time.

        Args:
            queries: Codes.
            k: Items of each query.

        Yields:
            Which queries, and for each ``k`` of ``distance << 40 | item``, ascending, on the device.
        """
        count, bits, stages = len(self.codes()), queries.bits, self._stages
        items = self._on_device()
        # A distance and an entry of the list for each group of 64 items, and the hits twice while they are sorted.
        budget = min(_TILE_BYTES, free_device_memory(self.device) // 2)
        step = max(1, min(_TILE, budget // (6 * count // 64 + 24 * k)))
        for start in range(0, len(queries), step):
            rows = slice(start, min(start + step, len(queries)))
            if self._nearest is not None and stages:
                tile = self._signs(queries[rows]), _words(queries[rows]).to(self.device)
                yield rows, self._nearest(tile, items, count, k, bits, stages)
            else:
                found = self._by_products(queries[rows], k)
                hits = -found.scores.astype(np.int64) << GPU_ID_BITS | found.indices
                yield rows, torch.from_numpy(hits).to(self.device)

    def _by_products(self, queries: HashCodes, k: int) -> Ranking:
        """Plain products by blocks; the oracle of the fused kernels."""
        items, length = self._on_device()[0], len(self.codes())
        width, bits = min(length, max(k, 2**18)), queries.bits
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
            UsageError: The device is short of memory (the predicted size is named).
        """
        if self._items is None:
            codes = self.codes()
            size = len(codes) * bytes_on_device(codes.bits)
            require_device_memory(self.device, size, f"{len(codes)} codes of {codes.bits} bits")
            short = -len(codes) % GPU_FILL
            words = torch.nn.functional.pad(_words(codes).T, (0, short)).contiguous().to(self.device)
            self._items = self._signs(codes, short), words
        return self._items

    def _signs(self, codes: HashCodes, more: int = 0) -> Tensor:
        """Signs as bytes; columns filled up with zeros, which add nothing to a product, to a power of 2; more rows."""
        bits = codes.bits
        signs = torch.zeros(len(codes) + more, _width(bits), dtype=torch.int8, device=self.device)
        shifts = torch.arange(7, -1, -1, dtype=torch.uint8, device=self.device)
        for at in range(0, len(codes), 2**18):
            block = torch.from_numpy(codes[at : at + 2**18].packed()).to(self.device)
            ones = (block[:, :, None] >> shifts & 1).to(torch.int8)
            signs[at : at + len(block), :bits] = (2 * ones - 1).reshape(len(block), -1)[:, :bits]
        return signs


def fused_stages(device: str, bits: int) -> int:
    """Pipeline stages of the fused kernels for codes of a length on a device; 0 where the codes are too wide for it."""
    return 0 if bits > _WIDEST else pipeline_stages(_width(bits), shared_memory(device))


def bytes_on_device(bits: int) -> int:
    """Bytes of a code there: a sign for each bit, and words."""
    return _width(bits) + 8 * -(-bits // 64)


def _width(bits: int) -> int:
    return max(32, 1 << (bits - 1).bit_length())


def _words(codes: HashCodes) -> Tensor:
    return torch.from_numpy(codes.words.view(np.int64))
