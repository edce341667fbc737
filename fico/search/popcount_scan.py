"""Codes in memory and the exact Hamming search over them: compiled where numba is, by FAISS elsewhere."""

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np

from fico.search.base import faiss_threads, import_faiss
from fico.types import Ranking

TILE = 16  # queries that share one pass over a block of codes
_BLOCK = 4096  # codes that stay in the first caches while a tile of queries passes over them
_BLOCK_WORDS = 16_384  # of wide codes fewer: 128 KB, half of a small second-level cache
_SAMPLED_K = 100  # from here the hits before the limit has settled cost more than a sample does
STRIDE = 128  # the sample is one code in 128


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
    """Codes for the compiled scan, word-major.

    For large k the first limit comes from a sample of the codes; where it proves too tight the query is repeated
    without it, so the result is exact for any data.

    Args:
        threads: Cores to use.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._columns: np.ndarray | None = None  # "words codes", padded for the scan
        self._added: list[np.ndarray] = []  # rows of bytes since the last search
        self._sample: np.ndarray | None = None
        self._length = self._width = 0

    @property
    def size_bytes(self) -> int:
        """Bytes of the codes as they lie in memory, and of the sample that sets the first limits."""
        held = [*self._added, *(part for part in (self._columns, self._sample) if part is not None)]
        return sum(part.nbytes for part in held)

    def add(self, codes: np.ndarray) -> None:
        """Takes rows of bytes."""
        self._added.append(codes)
        self._length += len(codes)
        self._width = codes.shape[1]

    def rows(self) -> np.ndarray:
        """All codes as rows of bytes."""
        words = np.ascontiguousarray(self._settle()[:, : self._length].T)
        return words.view(np.uint8)[:, : self._width]

    def search(self, queries: np.ndarray, k: int) -> Ranking:
        """The k nearest codes of each query (rows of bytes), ties by lowest id."""
        from fico.search.popcount_kernel import ID_BITS

        hits = self._search_all(as_words(queries), k)
        scores = np.empty(hits.shape, np.int32)
        np.right_shift(hits, ID_BITS, out=scores, casting="unsafe")
        hits &= (1 << ID_BITS) - 1
        return Ranking(np.negative(scores, out=scores), hits)

    def _settle(self) -> np.ndarray:
        """Puts the codes added since the last search into columns."""
        if self._added:
            start = self._length - sum(len(codes) for codes in self._added)
            columns = _padded(-(-self._width // 8), self._length)
            if self._columns is not None:
                columns[:, :start] = self._columns[:, :start]
            for codes in self._added:
                columns[:, start : start + len(codes)] = as_words(codes).T
                start += len(codes)
            self._sample = _padded(len(columns), -(-self._length // STRIDE))
            self._sample[:, : -(-self._length // STRIDE)] = columns[:, : self._length : STRIDE]
            self._columns, self._added = columns, []
        assert self._columns is not None
        return self._columns

    def _search_all(self, queries: np.ndarray, k: int) -> np.ndarray:
        columns = self._settle()
        limits = self._first_limits(queries, k)
        if len(queries) < self.threads:
            return self._search_ranges(columns, queries, limits, k)
        found = np.empty((len(queries), k), np.int64)
        height = tile_height(len(queries), self.threads)

        def tile(start: int) -> None:
            rows = slice(start, start + height)
            _scan(columns, (0, self._length), queries[rows], limits[rows], found[rows])

        run_parts(tile, range(0, len(queries), height), self.threads)
        return found

    def _search_ranges(self, columns: np.ndarray, queries: np.ndarray, limits: np.ndarray, k: int) -> np.ndarray:
        """Few queries: every thread takes a range of the codes, and the results are merged."""
        from fico.search.popcount_kernel import GROUP

        groups = math.ceil(self._length / GROUP / self.threads)
        starts = range(0, self._length, groups * GROUP)
        stops = [min(start + groups * GROUP, self._length) for start in starts]
        found = [np.empty((len(queries), min(k, b - a)), np.int64) for a, b in zip(starts, stops, strict=True)]

        def part(i: int) -> None:
            _scan(columns, (starts[i], stops[i]), queries, limits, found[i])

        run_parts(part, range(len(starts)), self.threads)
        return np.sort(np.concatenate(found, axis=1), axis=1)[:, :k]

    def _first_limits(self, queries: np.ndarray, k: int) -> np.ndarray:
        """A distance within which each query probably has k codes; the scan tells where it has not."""
        from fico.search.popcount_kernel import ID_BITS

        widest = np.full(len(queries), 64 * queries.shape[1], np.int64)
        place, count = sampled_place(k), math.ceil(self._length / STRIDE)
        if k < _SAMPLED_K or place > count // 4 or len(queries) < self.threads:
            return widest
        assert self._sample is not None
        sample, found = self._sample, np.empty((len(queries), place), np.int64)
        height = tile_height(len(queries), self.threads)

        def tile(start: int) -> None:
            rows = slice(start, start + height)
            _scan(sample, (0, count), queries[rows], widest[rows], found[rows])

        run_parts(tile, range(0, len(queries), height), self.threads)
        return found[:, -1] >> ID_BITS


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


def sampled_place(k: int) -> int:
    """Place in a sample of one code in ``STRIDE`` that lies behind the k nearest of all codes.

    With s = k / 128 of the sample expected among the k nearest, its place s + 3 sqrt(s) + 2 lies beyond them but for
    about one query in a thousand.
    """
    share = k / STRIDE
    return math.ceil(share + 3 * math.sqrt(share) + 2)


def tile_height(queries: int, threads: int) -> int:
    """Queries of a tile, at most ``TILE``: as many tiles for one thread as for another, in fours that share loads."""
    tiles = math.ceil(math.ceil(queries / TILE) / threads) * threads
    return min(TILE, 4 * math.ceil(queries / tiles / 4))


def run_parts(work: Callable[[int], None], parts: Sequence[int], threads: int) -> None:
    """Does every part, on several threads where there are several of both."""
    if threads == 1 or len(parts) == 1:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, part) for part in parts]:
            done.result()


def _scan(columns: np.ndarray, part: tuple[int, int], queries: np.ndarray, limits: np.ndarray, out: np.ndarray) -> None:
    from fico.search.popcount_kernel import GROUP, scan

    words = len(columns)
    block = max(GROUP, min(_BLOCK, _BLOCK_WORDS // words) // GROUP * GROUP)
    rows = tuple(columns)
    filled = scan(rows, *part, queries, limits, block, out)
    if not filled.all():  # the sample misled: once more for these, leaving nothing out
        again = np.empty((int((~filled).sum()), out.shape[1]), np.int64)
        scan(rows, *part, queries[~filled], np.full(len(again), 64 * words), block, again)
        out[~filled] = again


def as_words(codes: np.ndarray) -> np.ndarray:
    """Rows of bytes as rows of 64-bit words, the last one filled up with zeros."""
    short = -codes.shape[1] % 8
    if short:
        codes = np.concatenate([codes, np.zeros((len(codes), short), np.uint8)], axis=1)
    return np.ascontiguousarray(codes).view(np.uint64)


def _padded(words: int, codes: int) -> np.ndarray:
    from fico.search.popcount_kernel import GROUP

    return np.zeros((words, -(-codes // GROUP) * GROUP), np.uint64)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
