"""Rivals of the extra ``rivals``: the library of RaBitQ's authors, usearch and ScaNN, by inner product."""

import importlib.util
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fico.search.base import check_k, to_floats
from fico.types import Ranking
from fico.util.arrays import Embeddings
from fico.util.optional import requires_extra


class _Built:
    """What the rivals share: they are built once, from all items."""

    size_bytes = 0

    def __init__(self, name: str, threads: int) -> None:
        self.name, self.threads = name, threads
        self._index: Any = None
        self._length = 0

    def add(self, items: Embeddings) -> None:
        """Builds the index; once."""
        rows = np.ascontiguousarray(to_floats(items, "items"))
        self._length = len(rows)
        self._build(rows)

    def search(self, queries: Embeddings, k: int) -> Ranking:
        """The k items that the index finds."""
        k = check_k(k, self._length)
        items, distances = self._found(np.ascontiguousarray(to_floats(queries, "queries")), k)
        return Ranking(-np.asarray(distances), np.asarray(items).astype(np.int64))

    def _build(self, rows: np.ndarray) -> None:
        raise NotImplementedError

    def _found(self, rows: np.ndarray, k: int) -> tuple[Any, Any]:
        """Items and distances, least first."""
        raise NotImplementedError


class IvfRabitq(_Built):
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
        self.size_bytes = _saved_bytes(self._index.save)

    def _found(self, rows: np.ndarray, k: int) -> tuple[Any, Any]:
        found: tuple[Any, Any] = self._index.search(rows, k, self.nprobe, num_threads=self.threads)
        return found


class SymphonyQG(_Built):
    """Graph with RaBitQ codes at its edges, of rabitqlib: 32 edges, built with 200 candidates, as its authors do."""

    ef = 40

    def __init__(self, threads: int) -> None:
        super().__init__("rabitqlib SymphonyQG", threads)

    def _build(self, rows: np.ndarray) -> None:
        with requires_extra("rivals"):
            import rabitqlib
        self._index = rabitqlib.SymqgIndex(rows.shape[1], 32, "ip")
        self._index.build(rows, 200, self.threads)
        self.size_bytes = _saved_bytes(self._index.save)

    def _found(self, rows: np.ndarray, k: int) -> tuple[Any, Any]:
        found: tuple[Any, Any] = self._index.search(rows, k, max(self.ef, k), self.threads)
        return found


class Usearch(_Built):
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


class Scann(_Built):
    """ScaNN: a tree of 2 sqrt(n) leaves, anisotropic codes of 2 dimensions each, floats for the candidates."""

    leaves = 20
    candidates = 100

    def __init__(self, threads: int) -> None:
        super().__init__("scann", threads)

    def _build(self, rows: np.ndarray) -> None:
        with requires_extra("rivals"):
            from scann import scann_ops_pybind
        count = max(1, min(round(2 * math.sqrt(len(rows))), len(rows) // 39))
        builder = scann_ops_pybind.builder(rows, 10, "dot_product").set_n_training_threads(self.threads)
        tree = builder.tree(count, self.leaves, training_sample_size=len(rows))
        self._index = tree.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(self.candidates).build()
        with tempfile.TemporaryDirectory() as folder:
            self._index.serialize(folder)
            self.size_bytes = sum(file.stat().st_size for file in Path(folder).iterdir())

    def _found(self, rows: np.ndarray, k: int) -> tuple[Any, Any]:
        how = {"final_num_neighbors": k, "pre_reorder_num_neighbors": max(self.candidates, k)}
        items, products = self._index.search_batched(rows, leaves_to_search=self.leaves, **how)
        return items, -products


def _saved_bytes(save: Callable[[str], Any]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        save(str(path))
        return sum(file.stat().st_size for file in Path(folder).iterdir())


def library_absent(name: str) -> str | None:
    """Why a rival of another library cannot run here; None where it can."""
    package = _PACKAGES[name]
    return None if importlib.util.find_spec(package) else f"{package} is not installed (extra rivals)"


_PACKAGES = {
    "rabitq_ivf_7": "rabitqlib",
    "rabitq_ivf_4": "rabitqlib",
    "rabitq_ivf_raw": "rabitqlib",
    "symphony_qg": "rabitqlib",
    "usearch_int8": "usearch",
    "scann": "scann",
}
LIBRARY_RIVALS: dict[str, Callable[[int], Any]] = {
    "rabitq_ivf_7": lambda threads: IvfRabitq(7, threads),
    "rabitq_ivf_4": lambda threads: IvfRabitq(4, threads),
    "rabitq_ivf_raw": lambda threads: IvfRabitq(32, threads),
    "symphony_qg": SymphonyQG,
    "usearch_int8": Usearch,
    "scann": Scann,
}
