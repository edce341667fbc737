"""The CPU path of the Hamming search: codes in memory, scanned by the compiled kernel."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from fico.codes import HashCodes
from fico.search.hamming.layout import ID_BITS, SHARED
from fico.search.sampling import STRIDE, sampled_rank
from fico.types import Ranking

if TYPE_CHECKING:
    from fico.search.hamming.bit_planes import BitPlanes

_TILE = 256  # queries that share one pass over the codes
_SCRATCH = 2**22  # integers that a tile works in, at most: 32 MB
_SAMPLED_K = 100  # from here the hits before the limit has tightened cost more than a sample does


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
        self._added: list[HashCodes] = []  # since the last search
        self._bits = 0

    @property
    def size_bytes(self) -> int:
        """Bytes of the codes as they lie in memory, and of the sample that sets the first limits."""
        planes = sum(part.nbytes for part in (self._planes, self._sample) if part is not None)
        return planes + sum(part.nbytes for part in self._added)

    def add(self, codes: HashCodes) -> None:
        """Adds codes, whose words no other code may write to."""
        self._added.append(codes)
        self._bits = codes.bits

    def codes(self) -> HashCodes:
        """All codes."""
        return HashCodes(self._build_planes().words(), self._bits)

    def prepare(self) -> None:
        """Transposes the codes added since the last search into planes."""
        self._build_planes()

    def search(self, queries: HashCodes, k: int, mask: np.ndarray | None = None) -> Ranking:
        """The k nearest codes of each query, ties by lowest id; of those that ``mask`` allows, at least k."""
        hits = self._search_all(queries.words.view(np.int64), k, mask)
        scores = np.empty(hits.shape, np.int32)
        np.right_shift(hits, ID_BITS, out=scores, casting="unsafe")
        hits &= (1 << ID_BITS) - 1
        return Ranking(np.negative(scores, out=scores), hits)

    def _build_planes(self) -> "BitPlanes":
        from fico.search.hamming.bit_planes import BitPlanes

        if self._planes is None or self._sample is None:
            self._planes, self._sample = (BitPlanes(-(-self._bits // 64)) for _ in range(2))
        if self._added:
            starts = np.cumsum([self._planes.length, *map(len, self._added)])
            parts = [codes.words[-start % STRIDE :: STRIDE] for start, codes in zip(starts, self._added, strict=False)]
            self._sample.extend(parts, sum(map(len, parts)))
            added, self._added = self._added[::-1], []
            self._planes.extend((added.pop().words for _ in range(len(added))), starts[-1] - starts[0])
        return self._planes

    def _search_all(self, queries: np.ndarray, k: int, mask: np.ndarray | None) -> np.ndarray:
        planes = self._build_planes()
        if self._splits_items(queries):
            return self._search_ranges(planes, queries, k, mask)
        limits = self._first_limits(queries, k, mask)
        return self._search_tiles(planes, queries, limits, k, lane_masks(mask))

    def _splits_items(self, queries: np.ndarray) -> bool:
        """Whether every thread scans a range of the items: too few queries for a tile each."""
        return self.threads > 1 and len(queries) < SHARED * self.threads

    def _search_tiles(
        self, planes: "BitPlanes", queries: np.ndarray, limits: np.ndarray, k: int, allowed: np.ndarray
    ) -> np.ndarray:
        found = np.empty((len(queries), k), np.int64)
        height = tile_height(len(queries), k, self.threads)

        def tile(start: int) -> None:
            rows = slice(start, start + height)
            _scan(planes, (0, planes.length), allowed, queries[rows], limits[rows], found[rows])

        run_parts(tile, range(0, len(queries), height), self.threads)
        return found

    def _search_ranges(self, planes: "BitPlanes", queries: np.ndarray, k: int, mask: np.ndarray | None) -> np.ndarray:
        from fico.search.hamming.bit_planes import SLAB

        step = SLAB * math.ceil(planes.length / SLAB / self.threads)
        starts = range(0, planes.length, step)
        stops = [min(start + step, planes.length) for start in starts]
        counts = [b - a if mask is None else int(mask[a:b].sum()) for a, b in zip(starts, stops, strict=True)]
        found, allowed = [np.empty((len(queries), min(k, count)), np.int64) for count in counts], lane_masks(mask)
        height = tile_height(len(queries), k, 1)

        def part(i: int) -> None:
            for at in range(0, len(queries) if counts[i] else 0, height):
                some = queries[at : at + height]
                _scan(planes, (starts[i], stops[i]), allowed, some, _widest(some), found[i][at : at + height])

        run_parts(part, range(len(starts)), self.threads)
        return np.sort(np.concatenate(found, axis=1), axis=1)[:, :k]

    def _first_limits(self, queries: np.ndarray, k: int, mask: np.ndarray | None = None) -> np.ndarray:
        """A distance within which each query probably has k codes; the scan reports where it has not."""
        assert self._sample is not None
        rank, sampled = sampled_rank(k), None if mask is None else mask[::STRIDE]
        count = self._sample.length if sampled is None else int(sampled.sum())
        if k < _SAMPLED_K or rank > count // 4:
            return _widest(queries)
        found = self._search_tiles(self._sample, queries, _widest(queries), rank, lane_masks(sampled))
        return np.asarray(found[:, -1] >> ID_BITS)


def tile_height(queries: int, k: int, threads: int) -> int:
    """Queries of a tile: as many as its scratch allows, and as many tiles for one thread as for another."""
    most = min(_TILE, max(1, _SCRATCH // (4 * k)))
    tiles = math.ceil(math.ceil(queries / most) / threads) * threads
    return math.ceil(queries / tiles)


def scratch_bytes(queries: int, k: int, words: int, threads: int) -> int:
    """What a search works in: for each query of a tile hits, a histogram and counts; results of ranges."""
    splits_items = threads > 1 and queries < SHARED * threads
    height = tile_height(queries, k, 1 if splits_items else threads)
    tiles = 8 * threads * height * (4 * k + 64 + 64 * words + 16 * 12 + 22 * words)
    return tiles + (16 * queries * k * threads if splits_items else 0)


def run_parts(work: Callable[[int], None], parts: Sequence[int], threads: int) -> None:
    """Does every part, on several threads where there are several of both."""
    if threads == 1 or len(parts) == 1:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, part) for part in parts]:
            done.result()


def lane_masks(mask: np.ndarray | None) -> np.ndarray:
    """Which codes may be found, as the kernel takes it.

    Args:
        mask: `` codes``, bool. None: all.

    Returns:
        ``slabs lanes``: bit v of lane l is code 64 l + v of the slab, as in the planes; no slab where all may be found.
    """
    from fico.search.hamming.bit_planes import LANES, SLAB

    if mask is None:
        return np.empty((0, LANES), np.int64)
    bits = np.packbits(mask, bitorder="little")
    return np.pad(bits, (0, -len(bits) % (SLAB // 8))).view("<i8").reshape(-1, LANES)


def _widest(queries: np.ndarray) -> np.ndarray:
    """Limits that leave nothing out."""
    return np.full(len(queries), 64 * queries.shape[1], np.int64)


def _scan(
    planes: "BitPlanes",
    part: tuple[int, int],
    allowed: np.ndarray,
    queries: np.ndarray,
    limits: np.ndarray,
    out: np.ndarray,
) -> None:
    from fico.search.hamming.kernel import scan

    filled = scan(planes.arrays, *part, allowed, queries, limits, out)
    if not filled.all():  # the sample misled: once more for these, leaving nothing out
        again = np.empty((int((~filled).sum()), out.shape[1]), np.int64)
        scan(planes.arrays, *part, allowed, queries[~filled], _widest(queries[~filled]), again)
        out[~filled] = again
