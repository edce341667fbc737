"""Rivals of the extra ``rivals``, by inner product, and whether they are here."""

import importlib.util
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fico.bench.pareto.graph_rivals import Hnswlib, SvsVamana, Usearch
from fico.bench.pareto.rabitqlib_rivals import HnswRabitq, IvfRabitq, SymphonyQG
from fico.bench.pareto.static_index import StaticIndex
from fico.util.optional import requires_extra

_TRAIN_ROWS = 100_000


class Scann(StaticIndex):
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
        tree = builder.tree(count, self.leaves, training_sample_size=min(len(rows), _TRAIN_ROWS))
        self._index = tree.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(self.candidates).build()
        with tempfile.TemporaryDirectory() as folder:
            self._index.serialize(folder)
            self.size_bytes = sum(file.stat().st_size for file in Path(folder).iterdir())

    def _found(self, rows: np.ndarray, k: int) -> tuple[Any, Any]:
        how = {"final_num_neighbors": k, "pre_reorder_num_neighbors": max(self.candidates, k)}
        items, products = self._index.search_batched(rows, leaves_to_search=self.leaves, **how)
        return items, -products


def library_absent(name: str) -> str | None:
    """Why a rival of another library cannot run here; None where it can."""
    package = LIBRARY_RIVALS[name][0]
    return None if importlib.util.find_spec(package) else f"{package} is not installed (extra rivals)"


LIBRARY_RIVALS: dict[str, tuple[str, Callable[[int], Any]]] = {
    "rabitq_ivf_7": ("rabitqlib", lambda threads: IvfRabitq(7, threads)),
    "rabitq_ivf_4": ("rabitqlib", lambda threads: IvfRabitq(4, threads)),
    "rabitq_ivf_raw": ("rabitqlib", lambda threads: IvfRabitq(32, threads)),
    "rabitq_hnsw": ("rabitqlib", HnswRabitq),
    "symphony_qg": ("rabitqlib", SymphonyQG),
    "usearch_int8": ("usearch", Usearch),
    "hnswlib": ("hnswlib", Hnswlib),
    "svs_vamana": ("svs", SvsVamana),
    "scann": ("scann", Scann),
}
"""By name: the package, and the index of a number of threads."""
