"""The CPU path of the coarse-to-fine search: nearest lists, nearest codes within them, floats for these."""

import math
from dataclasses import dataclass

import numpy as np

from fico.codes import HashCodes
from fico.search.hamming.cpu import lane_masks, run_parts
from fico.search.hybrid.inverted_lists import InvertedLists
from fico.search.hybrid.stored_rows import StoredRows
from fico.search.index_file import Arrays, Settings
from fico.types import Ranking
from fico.util.threads import one_blas_thread

_MEASURES = {"inner": 0, "cosine": 1, "euclidean": 2}  # as the kernel counts them
_ROWS = 65_536
_TILE = 256  # queries of one piece of work


@dataclass(frozen=True, slots=True)
class _Screening:
    """What a search screens.

    Args:
        candidates: Codes of each query whose floats are compared.
        probes: Lists of each query.
        counts: Codes of each list that may be found.
        allowed: A bit for each code that may be found.
        positions: Where all codes that may be found lie, if they are no more than ``candidates``.
    """

    candidates: int
    probes: int
    counts: np.ndarray
    allowed: np.ndarray
    positions: np.ndarray | None = None


class HybridOnCpu:
    """Codes in lists and the floats behind them.

    Args:
        metric: ``cosine``, ``inner`` or ``euclidean``.
        projection: ITQ's matrix ``bits dim`` and its offset.
        centres: ``lists bits``: centroids of the lists, in the space of the projection.
        rows: Where the floats are kept.
    """

    def __init__(
        self, metric: str, projection: tuple[np.ndarray, np.ndarray], centres: np.ndarray, rows: StoredRows
    ) -> None:
        self._metric, (self._matrix, self._offset), self._centres, self._rows = metric, projection, centres, rows
        self._lists = InvertedLists(len(centres))

    @property
    def length(self) -> int:
        """Items."""
        return self._rows.length

    @property
    def size_bytes(self) -> int:
        """Bytes in memory."""
        return int(self._centres.nbytes) + self._lists.size_bytes + self._rows.memory_bytes

    def add(self, floats: np.ndarray, codes: HashCodes | None) -> None:
        """Adds rows, and their codes where a model made them."""
        for start in range(0, len(floats), _ROWS):
            block = floats[start : start + _ROWS]
            projected = self._project(block)
            near = self._nearest_lists(projected, 1)[:, 0]
            own = HashCodes.from_bits(projected > 0) if codes is None else codes[start : start + _ROWS]
            self._lists.add(own, near, self._norms_of(block))
        self._rows.add(floats)

    def prepare(self) -> None:
        """Puts the added items in order; after it several threads may search, until items are added."""
        self._lists.build()
        self._rows.whole()

    def search(
        self,
        queries: np.ndarray,
        codes: HashCodes | None,
        k: int,
        candidates: int,
        nprobe: int,
        threads: int,
        mask: np.ndarray | None = None,
    ) -> Ranking:
        """The k best candidates; where the lists hold fewer, the rest has item -1 and the lowest score.

        Of items that ``mask`` chooses, at least k, a query probes as many more lists as they are fewer, and all where
        those hold less than k; where they are no more than ``candidates`` it compares the floats of all.
        """
        self.prepare()
        scores, items = self._best(queries, codes, k, self._screening(candidates, nprobe, mask), threads)
        short = items[:, -1] < 0
        if mask is not None and short.any():
            everywhere, own = self._screening(candidates, len(self._centres), mask), codes and codes[short]
            scores[short], items[short] = self._best(queries[short], own, k, everywhere, threads)
        return Ranking(self._final(scores, queries), items)

    def _best(
        self, queries: np.ndarray, codes: HashCodes | None, k: int, screening: "_Screening", threads: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scores of the kernel, and items."""
        scores = np.full((len(queries), k), -np.inf, np.float32)
        items = np.full((len(queries), k), -1, np.int64)
        tile = max(1, min(_TILE, math.ceil(len(queries) / threads)))

        def work(start: int) -> None:
            rows = slice(start, start + tile)
            own = None if codes is None else codes[rows]
            self._search_tile(queries[rows], own, screening, scores[rows], items[rows])

        with one_blas_thread():
            run_parts(work, range(0, len(queries), tile), threads)
        return scores, items

    def _screening(self, candidates: int, nprobe: int, mask: np.ndarray | None) -> "_Screening":
        held, lists = self._lists, len(self._centres)
        if mask is None:
            return _Screening(candidates, min(nprobe, lists), held.stops - held.starts, lane_masks(None))
        chosen, counts = held.choose(mask)
        total = int(counts.sum())
        positions = np.flatnonzero(chosen) if total <= candidates else None
        probes = min(lists, math.ceil(nprobe * len(mask) / total))
        return _Screening(candidates, probes, counts, lane_masks(chosen), positions)

    def _search_tile(
        self,
        queries: np.ndarray,
        codes: HashCodes | None,
        screening: "_Screening",
        scores: np.ndarray,
        items: np.ndarray,
    ) -> None:
        from fico.search.hamming.kernel import screen
        from fico.search.hybrid.kernel import rerank

        held = self._lists
        if screening.positions is not None:
            hits = np.tile(screening.positions, (len(queries), 1))
            found = np.full(len(queries), len(screening.positions))
        else:
            projected = self._project(queries)
            lists = self._nearest_lists(projected, screening.probes)
            hits = np.empty((len(queries), screening.candidates), np.int64)
            found = np.empty(len(queries), np.int64)
            words = (codes or HashCodes.from_bits(projected > 0)).words.view(np.int64)
            chosen = (screening.counts, screening.allowed)
            screen(held.planes.arrays, held.starts, held.stops, *chosen, lists, words, hits, found)
        scaled, shift = self._rows.scaled(queries)
        stored = (self._rows.flat, queries.shape[1], held.norms, _MEASURES[self._metric], held.items)
        rerank(*stored, hits, found, scaled, shift, scores, items)

    def _final(self, scores: np.ndarray, queries: np.ndarray) -> np.ndarray:
        """From the kernel's scores, which leave out what does not change a query's order."""
        if self._metric == "inner":
            return scores
        lengths = np.linalg.norm(queries, axis=1, keepdims=True)
        if self._metric == "cosine":
            return np.asarray(scores / np.maximum(lengths, 1e-12))
        return np.asarray(-np.sqrt(np.maximum(np.square(lengths) - scores, 0)))

    def _project(self, floats: np.ndarray) -> np.ndarray:
        return np.asarray(floats @ self._matrix.T + self._offset)

    def _nearest_lists(self, projected: np.ndarray, count: int) -> np.ndarray:
        from fico.search.hybrid.kernel import smallest

        distances = np.square(self._centres).sum(axis=1) - 2 * (projected @ self._centres.T)
        out = np.empty((len(projected), count), np.int64)
        smallest(distances, out)
        return out

    def _norms_of(self, floats: np.ndarray) -> np.ndarray:
        if self._metric == "inner":
            return np.empty(0, np.float32)
        squares = np.einsum("ij,ij->i", floats, floats)
        return np.asarray(1 / np.sqrt(np.maximum(squares, 1e-24)) if self._metric == "cosine" else squares)

    def clone_empty(self, rows: StoredRows) -> "HybridOnCpu":
        """The same partition without items."""
        return HybridOnCpu(self._metric, (self._matrix, self._offset), self._centres, rows)

    def state(self) -> tuple[Settings, Arrays]:
        """What an index file keeps."""
        settings, arrays = self._rows.state()
        return settings, arrays | self._lists.state() | {"centres": self._centres}

    def restore(self, arrays: Arrays) -> None:
        """Takes the lists that ``state`` described; the rows were restored before."""
        self._lists = InvertedLists.restored(arrays)
