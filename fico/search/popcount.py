"""Exact Hamming search in compiled integer instructions."""

import importlib.util
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fico.errors import UsageError
from fico.search.base import Embeddings, check_k, faiss_threads, import_faiss, to_array
from fico.search.binarise import Binariser, Coder
from fico.types import Ranking

WIDEST = 512  # bits; the compiled scan grows with the width, and FAISS has vector code for wide ones
_TILE = 16  # queries that share one pass over a block of codes
_BLOCK_WORDS = 4096  # 32 KB of codes stay in the first-level cache
_SAMPLED_K = 200  # from here the hits before the limit has settled cost more than a sample does
_STRIDE = 128  # the sample is one code in 128


class PopcountSearch:
    """Exact nearest codes by Hamming distance, ties by lowest item.

    Codes lie word-major. A tile of queries passes over a cached block of codes; of 128 codes at a time only the
    smallest distance is formed, without a branch, and compared with the query's limit, which a counting select
    tightens. For large k the first limit comes from a sample of the codes; where it proves too tight the query is
    repeated without it, so the result is exact for any data. Above 512 bits, and where numba is missing, FAISS's
    ``IndexBinaryFlat`` does the work.

    Args:
        bits: Code length, a multiple of 8. None: the width of +-1 or 0/1 codes; for ITQ 64, or what few items
            allow.
        threads: Cores to use. None: as many as numba may (``NUMBA_NUM_THREADS``, else all of this process).
        binariser: A fitted one for floats, instead of ITQ learnt from the items of the first ``add``.
        seed: Of ITQ.

    Raises:
        UsageError: ``bits`` is no positive multiple of 8, or ``threads`` is below 1.
    """

    def __init__(
        self,
        bits: int | None = None,
        threads: int | None = None,
        binariser: Binariser | None = None,
        seed: int = 1234,
    ) -> None:
        if threads is not None and threads < 1:
            raise UsageError(f"threads is {threads}; give 1 or more, or none for all cores")
        self._coder = Coder(bits, binariser, seed)
        self.threads = threads or int(os.environ.get("NUMBA_NUM_THREADS", 0)) or cores()
        self._columns: np.ndarray | None = None  # "words codes", padded for the scan; rows of bytes for FAISS
        self._added: list[np.ndarray] = []  # rows of bytes since the last search
        self._sample: np.ndarray | None = None
        self._length = 0

    @property
    def name(self) -> str:
        """``popcount(64)``, or ``popcount(itq64)`` where floats were binarised."""
        return f"popcount({self._coder.name})"

    @property
    def bits(self) -> int | None:
        """Code length, once it is known."""
        return self._coder.bits

    @property
    def size_bytes(self) -> int:
        """Bytes of the codes as they lie in memory, and of the sample that sets the first limits."""
        held = [*self._added, *(part for part in (self._columns, self._sample) if part is not None)]
        return sum(part.nbytes for part in held)

    def add(self, items: Embeddings) -> None:
        """Takes packed ``uint8`` codes, +-1, 0/1, or floats to binarise.

        Raises:
            DataError: Codes of another width, or a row that is no code.
            UsageError: The width is no multiple of 8.
        """
        array = to_array(items, "items")
        if self._length == 0:
            self._coder.fit(array)
        self._added.append(self._coder.encode(array, "items"))
        self._length += len(self._added[-1])

    def search(self, queries: Embeddings, k: int) -> Ranking:
        """The k nearest items; scores are minus the number of differing bits, ``int32``.

        Raises:
            UsageError: Nothing was added, or k is below 1 or above the number of items.
            DataError: Queries of another width, or that are no codes.
        """
        check_k(k, self._length)
        codes = self._coder.encode(to_array(queries, "queries"), "queries")
        if self.backend == "faiss":
            return self._search_faiss(codes, k)
        from fico.search.popcount_kernel import ID_BITS

        hits = self._search_all(as_words(codes), k)
        return Ranking(-(hits >> ID_BITS).astype(np.int32), hits & ((1 << ID_BITS) - 1))

    @property
    def backend(self) -> str:
        """``numba`` or ``faiss``."""
        narrow = self.bits is None or self.bits <= WIDEST
        return "numba" if narrow and importlib.util.find_spec("numba") is not None else "faiss"

    def _settle(self) -> np.ndarray:
        """Puts the codes added since the last search into columns."""
        from fico.search.popcount_kernel import GROUP

        if self._added:
            added = [as_words(codes).T for codes in self._added]
            before = self._length - sum(part.shape[1] for part in added)
            old = [] if self._columns is None else [self._columns[:, :before]]
            self._columns = _padded(np.concatenate([*old, *added], axis=1), GROUP)
            self._sample = _padded(self._columns[:, : self._length : _STRIDE], GROUP)
            self._added = []
        assert self._columns is not None
        return self._columns

    def _search_all(self, queries: np.ndarray, k: int) -> np.ndarray:
        columns = self._settle()
        limits = self._first_limits(queries, k)
        if len(queries) < self.threads:
            return self._search_ranges(columns, queries, limits, k)
        found = np.empty((len(queries), k), np.int64)
        height = min(_TILE, math.ceil(len(queries) / self.threads))

        def tile(start: int) -> None:
            rows = slice(start, start + height)
            _scan(columns, (0, self._length), queries[rows], limits[rows], found[rows])

        self._run(tile, range(0, len(queries), height))
        return found

    def _search_ranges(self, columns: np.ndarray, queries: np.ndarray, limits: np.ndarray, k: int) -> np.ndarray:
        """Few queries: every thread takes a range of the codes, and the results are merged."""
        from fico.search.popcount_kernel import GROUP

        groups = math.ceil(self._length / GROUP / self.threads)
        starts = range(0, self._length, groups * GROUP)
        stops = [min(start + groups * GROUP, self._length) for start in starts]
        found = [np.empty((len(queries), min(k, b - a)), np.int64) for a, b in zip(starts, stops, strict=True)]
        self._run(lambda i: _scan(columns, (starts[i], stops[i]), queries, limits, found[i]), range(len(starts)))
        return np.sort(np.concatenate(found, axis=1), axis=1)[:, :k]

    def _first_limits(self, queries: np.ndarray, k: int) -> np.ndarray:
        """A distance within which each query probably has k codes; the scan tells where it has not.

        With s = k / 128 of the sample expected among the k nearest, its place s + 3 sqrt(s) + 2 lies beyond them
        but for about one query in a thousand.
        """
        widest = np.full(len(queries), 64 * queries.shape[1], np.int64)
        share = k / _STRIDE
        place = math.ceil(share + 3 * math.sqrt(share) + 2)
        count = math.ceil(self._length / _STRIDE)
        if k < _SAMPLED_K or place > count // 4 or len(queries) < self.threads:
            return widest
        assert self._sample is not None
        sample, found = self._sample, np.empty((len(queries), place), np.int64)

        def tile(start: int) -> None:
            rows = slice(start, start + _TILE)
            _scan(sample, (0, count), queries[rows], widest[rows], found[rows])

        self._run(tile, range(0, len(queries), _TILE))
        from fico.search.popcount_kernel import ID_BITS

        return found[:, -1] >> ID_BITS

    def _run(self, work: Callable[[int], None], parts: Sequence[int]) -> None:
        if self.threads == 1 or len(parts) == 1:
            for part in parts:
                work(part)
            return
        with ThreadPoolExecutor(self.threads) as pool:
            for done in [pool.submit(work, part) for part in parts]:
                done.result()

    def _search_faiss(self, queries: np.ndarray, k: int) -> Ranking:
        faiss = import_faiss()
        if self._added:
            old = [] if self._columns is None else [self._columns]
            self._columns, self._added = np.concatenate([*old, *self._added]), []
        with faiss_threads(self.threads):
            distances, items = faiss.knn_hamming(queries, self._columns, k)
        order = np.lexsort((items, distances), axis=1)
        return Ranking(-np.take_along_axis(distances, order, 1), np.take_along_axis(items, order, 1))


def _scan(columns: np.ndarray, part: tuple[int, int], queries: np.ndarray, limits: np.ndarray, out: np.ndarray) -> None:
    from fico.search.popcount_kernel import GROUP, scan

    words = len(columns)
    block = max(GROUP, _BLOCK_WORDS // words // GROUP * GROUP)
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


def _padded(columns: np.ndarray, group: int) -> np.ndarray:
    return np.ascontiguousarray(np.pad(columns, ((0, 0), (0, -columns.shape[1] % group))))


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
