# mypy: disallow-untyped-decorators=False
"""Codes as bit planes, 512 to a slab: what the compiled Hamming search works on.

Importing this module imports numba; it compiles on first use and keeps the result in numba's cache.
"""

from collections.abc import Iterable

import numpy as np
from numba import njit

LANES = 8  # 64-bit integers of one vector value: one AVX-512 register, or two of AVX2
BITS = 64  # planes of one word of a code
SLAB = BITS * LANES  # codes of one vector value


@njit(nogil=True, cache=True)
def aligned(count: int) -> np.ndarray:
    """Integers, all 0, that begin with a cache line: a vector across two lines costs twice as much."""
    buffer = np.zeros(count + LANES, np.int64)
    start = -(buffer.ctypes.data // 8) % LANES
    return buffer[start : start + count]


class BitPlanes:
    """For each word of a code an array ``slabs 64 lanes``: code 64 l + v of a slab has its bit b as bit v of lane l.

    Args:
        words: 64-bit words of a code.
    """

    def __init__(self, words: int) -> None:
        self.arrays = tuple(_slabs(0) for _ in range(words))
        self.length = 0

    @property
    def nbytes(self) -> int:
        """Bytes, those that fill the last slab included."""
        return sum(planes.nbytes for planes in self.arrays)

    def extend(self, parts: Iterable[np.ndarray], count: int) -> None:
        """Appends codes, ``codes words``, part after part.

        Args:
            parts: The codes; each part may be dropped once the next one is taken.
            count: Of all parts.
        """
        first = self.length // BITS * BITS  # the last 64 may be incomplete
        waiting = self.words(first)
        slabs = -(-(self.length + count) // SLAB)
        grown = tuple(_slabs(slabs) for _ in self.arrays)
        for old, new in zip(self.arrays, grown, strict=True):
            new[: len(old)] = old
        self.arrays, self.length = grown, self.length + count
        for part in parts:
            words = np.concatenate([waiting, part]) if len(waiting) else np.ascontiguousarray(part)
            whole = len(words) // BITS * BITS
            _fill(words[:whole].view(np.int64), self.arrays, first)
            first, waiting = first + whole, words[whole:].copy()
        _fill(waiting.view(np.int64), self.arrays, first)

    def words(self, first: int = 0) -> np.ndarray:
        """Codes from a multiple of 64 on, ``codes words``."""
        found = np.empty((self.length - first, len(self.arrays)), np.int64)
        _read(self.arrays, found, first)
        return found.view(np.uint64)


def _slabs(count: int) -> np.ndarray:
    integers: np.ndarray = aligned(count * SLAB)
    return integers.reshape(count, BITS, LANES)


@njit(nogil=True, cache=True)
def _transpose(block: np.ndarray) -> None:
    """Bit c of integer r is exchanged with bit r of integer c, of 64 integers."""
    step, mask = BITS // 2, (1 << BITS // 2) - 1
    while step:
        for row in range(BITS):
            if not row & step:
                moved = (block[row] >> step ^ block[row + step]) & mask
                block[row + step] ^= moved
                block[row] ^= moved << step
        step >>= 1
        mask ^= mask << step


@njit(nogil=True, cache=True)
def _fill(words: np.ndarray, planes: tuple[np.ndarray, ...], first: int) -> None:
    block = np.empty(BITS, np.int64)
    for start in range(0, len(words), BITS):
        slab, lane = divmod((first + start) // BITS, LANES)
        count = min(BITS, len(words) - start)
        for word in range(len(planes)):
            for row in range(BITS):
                block[row] = words[start + row, word] if row < count else 0
            _transpose(block)
            for row in range(BITS):
                planes[word][slab, row, lane] = block[row]


@njit(nogil=True, cache=True)
def _read(planes: tuple[np.ndarray, ...], words: np.ndarray, first: int) -> None:
    block = np.empty(BITS, np.int64)
    for start in range(0, len(words), BITS):
        slab, lane = divmod((first + start) // BITS, LANES)
        count = min(BITS, len(words) - start)
        for word in range(len(planes)):
            for row in range(BITS):
                block[row] = planes[word][slab, row, lane]
            _transpose(block)
            for row in range(count):
                words[start + row, word] = block[row]
