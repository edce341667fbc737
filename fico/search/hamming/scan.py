"""Codes in memory and the exact Hamming search over them: compiled where numba is, by FAISS elsewhere."""

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

import numpy as np

from fico.search.base import faiss_threads, import_faiss
from fico.search.hamming.layout import ID_BITS, SHARED
from fico.search.sampling import STRIDE, sampled_place
from fico.types import Ranking

if TYPE_CHECKING:
    from fico.search.hamming.bit_planes import BitPlanes

_TILE = 256  # queries that share one pass over the codes
_SCRATCH = 2**22  # integers that a tile works in, at most: 32 MB
_SAMPLED_K = 100  # from here the hits before the limit has settled cost more than a sample does


class Codes(Protocol):
    """Packed codes that can be searched; ids count from 0 in the order in which they were added."""

    @property
    def size_bytes(self) -> int:
        """Bytes of the codes as they lie in memory."""
        ...

    def add(self, codes: np.ndarray) -> None:
        """Takes rows of bytes."""
        ...

    def search(self, queries: np.ndarray, k: int) -> Ranking:
        """The k nearest codes of each query (rows of bytes), ties by lowest id."""
        ...

    def rows(self) -> np.ndarray:
        """All codes as rows of bytes."""
        ...


class ScannedCodes:
    """Codes for the compiled scan, as bit planes.

    For large k the first limit comes from a sample of the codes; where it proves too tight the query is repeated
    without it, so the result is exact for any data.

    Args:
        threads: Cores to use.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._planes: BitPlanes | None = None
        self._sample: BitPlanes | None = None
        self._added: list[np.ndarray] = []  # rows of bytes since the last search
        self._width = 0

    @property
    def size_bytes(self) -> int:
        """Bytes of the codes as they lie in memory, and of the sample that sets the first limits."""
        planes = sum(part.nbytes for part in (self._planes, self._sample) if part is not None)
        return planes + sum(part.nbytes for part in self._added)

    def add(self, codes: np.ndarray) -> None:
        """Takes rows of bytes."""
        self._added.append(codes)
        self._width = codes.shape[1]

    def rows(self) -> np.ndarray:
        """All codes as rows of bytes."""
        return self._settle().words().view(np.uint8)[:, : self._width]

    def search(self, queries: np.ndarray, k: int) -> Ranking:
        """The k nearest codes of each query (rows of bytes), ties by lowest id."""
        hits = self._search_all(as_words(queries).view(np.int64), k)
        scores = np.empty(hits.shape, np.int32)
        np.right_shift(hits, ID_BITS, out=scores, casting="unsafe")
        hits &= (1 << ID_BITS) - 1
        return Ranking(np.negative(scores, out=scores), hits)

    def _settle(self) -> "BitPlanes":
        """Puts the codes added since the last search into planes."""
        from fico.search.hamming.bit_planes import BitPlanes

        if self._planes is None or self._sample is None:
            self._planes, self._sample = (BitPlanes(-(-self._width // 8)) for _ in range(2))
        if self._added:
            starts = np.cumsum([self._planes.length, *map(len, self._added)])
            parts = [
                as_words(codes)[-start % STRIDE :: STRIDE] for start, codes in zip(starts, self._added, strict=False)
            ]
            self._sample.extend(parts, sum(map(len, parts)))
            added, self._added = self._added[::-1], []
            self._planes.extend((as_words(added.pop()) for _ in range(len(added))), starts[-1] - starts[0])
        return self._planes

    def _search_all(self, queries: np.ndarray, k: int) -> np.ndarray:
        planes = self._settle()
        if self._is_shared_out(queries):
            return self._search_ranges(planes, queries, k)
        return self._search_tiles(planes, queries, self._first_limits(queries, k), k)

    def _is_shared_out(self, queries: np.ndarray) -> bool:
        """Whether every thread takes a range of the codes: too few queries for a tile each."""
        return self.threads > 1 and len(queries) < SHARED * self.threads

    def _search_tiles(self, planes: "BitPlanes", queries: np.ndarray, limits: np.ndarray, k: int) -> np.ndarray:
        found = np.empty((len(queries), k), np.int64)
        height = tile_height(len(queries), k, self.threads)

        def tile(start: int) -> None:
            rows = slice(start, start + height)
            _scan(planes, (0, planes.length), queries[rows], limits[rows], found[rows])

        run_parts(tile, range(0, len(queries), height), self.threads)
        return found

    def _search_ranges(self, planes: "BitPlanes", queries: np.ndarray, k: int) -> np.ndarray:
        from fico.search.hamming.bit_planes import SLAB

        step = SLAB * math.ceil(planes.length / SLAB / self.threads)
        starts = range(0, planes.length, step)
        stops = [min(start + step, planes.length) for start in starts]
        found = [np.empty((len(queries), min(k, b - a)), np.int64) for a, b in zip(starts, stops, strict=True)]
        height = tile_height(len(queries), k, 1)

        def part(i: int) -> None:
            for at in range(0, len(queries), height):
                some = queries[at : at + height]
                _scan(planes, (starts[i], stops[i]), some, _widest(some), found[i][at : at + height])

        run_parts(part, range(len(starts)), self.threads)
        return np.sort(np.concatenate(found, axis=1), axis=1)[:, :k]

    def _first_limits(self, queries: np.ndarray, k: int) -> np.ndarray:
        """A distance within which each query probably has k codes; the scan tells where it has not."""
        assert self._sample is not None
        place = sampled_place(k)
        if k < _SAMPLED_K or place > self._sample.length // 4:
            return _widest(queries)
        return self._search_tiles(self._sample, queries, _widest(queries), place)[:, -1] >> ID_BITS


class FaissCodes:
    """Codes for FAISS's exhaustive search: wide ones, and where numba is missing.

    Args:
        threads: Cores to use.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._added: list[np.ndarray] = []

    @property
    def size_bytes(self) -> int:
        """Bytes of the codes as they lie in memory."""
        return sum(codes.nbytes for codes in self._added)

    def add(self, codes: np.ndarray) -> None:
        """Takes rows of bytes."""
        self._added.append(codes)

    def rows(self) -> np.ndarray:
        """All codes as rows of bytes."""
        if len(self._added) > 1:
            self._added = [np.concatenate(self._added)]
        return self._added[0]

    def search(self, queries: np.ndarray, k: int) -> Ranking:
        """The k nearest codes of each query (rows of bytes), ties by lowest id."""
        with faiss_threads(self.threads):
            distances, items = import_faiss().knn_hamming(queries, self.rows(), k)
        order = np.lexsort((items, distances), axis=1)
        return Ranking(-np.take_along_axis(distances, order, 1), np.take_along_axis(items, order, 1))


def tile_height(queries: int, k: int, threads: int) -> int:
    """Queries of a tile: as many as its scratch allows, and as many tiles for one thread as for another."""
    most = min(_TILE, max(1, _SCRATCH // (4 * k)))
    tiles = math.ceil(math.ceil(queries / most) / threads) * threads
    return math.ceil(queries / tiles)


def scratch_bytes(queries: int, k: int, words: int, threads: int) -> int:
    """What a search works in: for each query of a tile hits, a histogram and counts; results of ranges."""
    is_shared_out = threads > 1 and queries < SHARED * threads
    height = tile_height(queries, k, 1 if is_shared_out else threads)
    tiles = 8 * threads * height * (4 * k + 64 + 64 * words + 16 * 12 + 22 * words)
    return tiles + (16 * queries * k * threads if is_shared_out else 0)


def run_parts(work: Callable[[int], None], parts: Sequence[int], threads: int) -> None:
    """Does every part, on several threads where there are several of both."""
    if threads == 1 or len(parts) == 1:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, part) for part in parts]:
            done.result()


def _widest(queries: np.ndarray) -> np.ndarray:
    """Limits that leave nothing out."""
    return np.full(len(queries), 64 * queries.shape[1], np.int64)


def _scan(planes: "BitPlanes", part: tuple[int, int], queries: np.ndarray, limits: np.ndarray, out: np.ndarray) -> None:
    from fico.search.hamming.kernel import scan

    filled = scan(planes.arrays, *part, queries, limits, out)
    if not filled.all():  # the sample misled: once more for these, leaving nothing out
        again = np.empty((int((~filled).sum()), out.shape[1]), np.int64)
        scan(planes.arrays, *part, queries[~filled], _widest(queries[~filled]), again)
        out[~filled] = again


def as_words(codes: np.ndarray) -> np.ndarray:
    """Rows of bytes as rows of 64-bit words, the last one filled up with zeros."""
    short = -codes.shape[1] % 8
    if short:
        codes = np.concatenate([codes, np.zeros((len(codes), short), np.uint8)], axis=1)
    return np.ascontiguousarray(codes).view(np.uint64)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
