"""Rivals of ``rabitqlib``, the library of RaBitQ's authors: codes in lists, in a graph, and at the edges of a graph."""

import math
from typing import Any

import numpy as np

from fico.bench.pareto.static_index import StaticIndex, saved_bytes
from fico.util.optional import requires_extra


class IvfRabitq(StaticIndex):
    """IVF over RaBitQ codes of rabitqlib, 1.7 sqrt(n) lists.

    Args:
        bits: Of a number; 32 keeps the floats and orders by them.
        threads: Cores.
    """

    nprobe = 16

    def __init__(self, bits: int, threads: int) -> None:
        super().__init__(f"rabitqlib IVF, {bits} bits", threads)
        self._bits = bits

    def _build(self, rows: np.ndarray) -> None:
        with requires_extra("rivals"):
            import rabitqlib
        lists = max(1, min(round(1.7 * math.sqrt(len(rows))), len(rows) // 39))
        final = rabitqlib.FinalAssignmentMode.Exact
        means = rabitqlib.RaBitQKMeans(rows.shape[1], lists, num_threads=self.threads, final_assignment=final)
        means.train(rows)
        self._index = rabitqlib.IvfIndex(rows.shape[1], len(rows), lists, self._bits, "ip")
        self._index.build(rows, means.centroids, means.assignments, self.threads)
        self.size_bytes = saved_bytes(self._index.save)

    def _found(self, rows: np.ndarray, k: int) -> tuple[Any, Any]:
        found: tuple[Any, Any] = self._index.search(rows, k, self.nprobe, num_threads=self.threads)
        return found


class HnswRabitq(StaticIndex):
    """HNSW over codes of 7 bits around 16 centroids: 32 links at the lowest level, built with 200 candidates."""

    ef = 64

    def __init__(self, threads: int) -> None:
        super().__init__("rabitqlib HNSW, 7 bits", threads)

    def _build(self, rows: np.ndarray) -> None:
        with requires_extra("rivals"):
            import rabitqlib
        means = rabitqlib.RaBitQKMeans(rows.shape[1], 16, num_threads=self.threads)
        means.train(rows)
        self._index = rabitqlib.HnswIndex(rows.shape[1], len(rows), 16, 200, 7, "ip")
        self._index.build(rows, means.centroids, means.assignments, self.threads)
        self.size_bytes = saved_bytes(self._index.save)

    def _found(self, rows: np.ndarray, k: int) -> tuple[Any, Any]:
        found: tuple[Any, Any] = self._index.search(rows, k, int(max(self.ef, k)), self.threads)
        return found


class SymphonyQG(StaticIndex):
    """Graph with RaBitQ codes at its edges, of rabitqlib: 32 edges, built with 200 candidates, as its authors do."""

    ef = 40

    def __init__(self, threads: int) -> None:
        super().__init__("rabitqlib SymphonyQG", threads)

    def _build(self, rows: np.ndarray) -> None:
        with requires_extra("rivals"):
            import rabitqlib
        self._index = rabitqlib.SymqgIndex(rows.shape[1], 32, "ip")
        self._index.build(rows, 200, self.threads)
        self.size_bytes = saved_bytes(self._index.save)

    def _found(self, rows: np.ndarray, k: int) -> tuple[Any, Any]:
        found: tuple[Any, Any] = self._index.search(rows, k, max(self.ef, k), self.threads)
        return found
