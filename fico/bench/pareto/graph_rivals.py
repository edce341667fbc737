"""Graphs of usearch, hnswlib and SVS, by inner product."""

from typing import Any

import numpy as np

from fico.bench.pareto.static_index import StaticIndex, saved_bytes
from fico.util.optional import requires_extra


class Usearch(StaticIndex):
    """HNSW of usearch over numbers of 8 bits, with its defaults."""

    ef = 64

    def __init__(self, threads: int) -> None:
        super().__init__("usearch, int8", threads)

    def _build(self, rows: np.ndarray) -> None:
        with requires_extra("rivals"):
            from usearch.index import Index
        self._index = Index(ndim=rows.shape[1], metric="ip", dtype="i8")
        self._index.add(np.arange(len(rows)), rows, threads=self.threads)
        self.size_bytes = int(self._index.memory_usage)

    def _found(self, rows: np.ndarray, k: int) -> tuple[Any, Any]:
        self._index.expansion_search = int(max(self.ef, k))
        found = self._index.search(rows, k, threads=self.threads)
        return found.keys.reshape(-1, k), found.distances.reshape(-1, k)


class Hnswlib(StaticIndex):
    """HNSW of hnswlib over floats: 32 links at the lowest level, built with 200 candidates."""

    ef = 64

    def __init__(self, threads: int) -> None:
        super().__init__("hnswlib", threads)

    def _build(self, rows: np.ndarray) -> None:
        with requires_extra("rivals"):
            import hnswlib
        self._index = hnswlib.Index("ip", rows.shape[1])
        self._index.init_index(len(rows), M=16, ef_construction=200)
        self._index.add_items(rows, num_threads=self.threads)
        self.size_bytes = int(self._index.index_file_size())

    def _found(self, rows: np.ndarray, k: int) -> tuple[Any, Any]:
        self._index.set_ef(int(max(self.ef, k)))
        found: tuple[Any, Any] = self._index.knn_query(rows, k, num_threads=self.threads)
        return found


class SvsVamana(StaticIndex):
    """Vamana graph of Intel's SVS over ``float16``: 64 links, built with 128 candidates.

    Its LVQ and LeanVec codes end the process on processors of other makers, so they are left out.
    """

    window = 32

    def __init__(self, threads: int) -> None:
        super().__init__("SVS Vamana, float16", threads)

    def _build(self, rows: np.ndarray) -> None:
        with requires_extra("rivals"):
            import svs
        parameters = svs.VamanaBuildParameters(graph_max_degree=64, window_size=128)
        halves = rows.astype(np.float16)
        self._index = svs.Vamana.build(parameters, halves, svs.DistanceType.MIP, num_threads=self.threads)
        self._index.num_threads = self.threads
        self.size_bytes = saved_bytes(lambda path: self._index.save(f"{path}-config", f"{path}-graph", f"{path}-data"))

    def _found(self, rows: np.ndarray, k: int) -> tuple[Any, Any]:
        self._index.search_window_size = int(max(self.window, k))
        items, products = self._index.search(rows, k)
        return items, -products
