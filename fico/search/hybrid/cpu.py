"""The CPU path of the coarse-to-fine search: nearest lists, nearest codes within them, floats for these."""

import math

import numpy as np

from fico.codes import HashCodes
from fico.search.hamming.cpu import run_parts
from fico.search.hybrid.inverted_lists import InvertedLists
from fico.search.hybrid.stored_rows import StoredRows
from fico.search.index_file import Arrays, Settings
from fico.types import Ranking
from fico.util.matmul import one_blas_thread

_MEASURES = {"inner": 0, "cosine": 1, "euclidean": 2}  # as the kernel counts them
_ROWS = 65_536
_TILE = 256  # queries of one piece of work


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

    def search(
        self, queries: np.ndarray, codes: HashCodes | None, k: int, candidates: int, nprobe: int, threads: int
    ) -> Ranking:
        """The k best candidates; where the lists hold fewer, the rest has item -1 and the lowest score."""
        self._lists.build()
        scores = np.full((len(queries), k), -np.inf, np.float32)
        items = np.full((len(queries), k), -1, np.int64)
        tile = max(1, min(_TILE, math.ceil(len(queries) / threads)))

        def work(start: int) -> None:
            rows = slice(start, start + tile)
            own = None if codes is None else codes[rows]
            self._search_tile(queries[rows], own, nprobe, candidates, scores[rows], items[rows])

        with one_blas_thread():
            run_parts(work, range(0, len(queries), tile), threads)
        return Ranking(self._final(scores, queries), items)

    def _search_tile(
        self,
        queries: np.ndarray,
        codes: HashCodes | None,
        nprobe: int,
        candidates: int,
        scores: np.ndarray,
        items: np.ndarray,
    ) -> None:
        from fico.search.hamming.kernel import screen
        from fico.search.hybrid.kernel import rerank

        projected, held = self._project(queries), self._lists
        lists = self._nearest_lists(projected, min(nprobe, len(self._centres)))
        hits = np.empty((len(queries), candidates), np.int64)
        found = np.empty(len(queries), np.int64)
        words = (codes or HashCodes.from_bits(projected > 0)).words.view(np.int64)
        screen(held.planes.arrays, held.starts, held.stops, lists, words, hits, found)
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
