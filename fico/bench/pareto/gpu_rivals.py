"""Rivals that need a GPU: ours, FAISS's exhaustive searches and the graph search of cuVS, where they are installed."""

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from fico.search.base import check_k, import_faiss, to_floats
from fico.search.exact import ExactSearch
from fico.search.hamming.popcount import PopcountSearch
from fico.search.hybrid.hybrid import HybridSearch
from fico.search.itq import ITQ
from fico.types import Ranking
from fico.util.arrays import Embeddings


class GpuFlat:
    """FAISS ``GpuIndexFlatIP``: every product, in float32."""

    name = "GpuIndexFlatIP"
    threads = 1

    def __init__(self) -> None:
        self._index: Any = None
        self.size_bytes = 0

    def add(self, items: Embeddings) -> None:
        """Copies the items to the device."""
        faiss, rows = import_faiss(), np.ascontiguousarray(to_floats(items, "items"))
        if self._index is None:
            self._resources = faiss.StandardGpuResources()
            self._index = faiss.GpuIndexFlatIP(self._resources, rows.shape[1])
        self._index.add(rows)
        self.size_bytes += rows.nbytes

    def search(self, queries: Embeddings, k: int) -> Ranking:
        """The k nearest items."""
        k = check_k(k, 0 if self._index is None else self._index.ntotal)
        values, items = self._index.search(np.ascontiguousarray(to_floats(queries, "queries")), k)
        return Ranking(values, items)


class GpuBinaryFlat:
    """FAISS ``GpuIndexBinaryFlat``: every Hamming distance of ITQ codes; the codes are made on the processor.

    Args:
        binariser: A fitted one.
    """

    threads = 1

    def __init__(self, binariser: ITQ) -> None:
        self._binariser, self._index = binariser, None
        self.name = f"GpuIndexBinaryFlat({binariser.bits})"
        self.size_bytes = 0

    def add(self, items: Embeddings) -> None:
        """Copies the codes to the device."""
        faiss, codes = import_faiss(), self._binariser.encode(items).packed()
        on_cpu = faiss.IndexBinaryFlat(self._binariser.bits)
        on_cpu.add(codes)
        self._resources = faiss.StandardGpuResources()
        self._index = faiss.GpuIndexBinaryFlat(self._resources, on_cpu)
        self.size_bytes = codes.nbytes

    def search(self, queries: Embeddings, k: int) -> Ranking:
        """The k nearest items; the score is minus the distance."""
        index: Any = self._index
        k = check_k(k, 0 if index is None else index.ntotal)
        distances, items = index.search(self._binariser.encode(queries, "queries").packed(), k)
        return Ranking(-distances, items)


class Cagra:
    """Graph search of cuVS with its defaults, by inner product."""

    name = "CAGRA"
    threads = 1
    itopk_size = 64
    """Candidates kept while walking; the search parameter that trades time for recall."""

    def __init__(self) -> None:
        self._index: Any = None
        self.size_bytes = 0
        self._length = 0

    def add(self, items: Embeddings) -> None:
        """Builds the graph; once."""
        import torch
        from cuvs.neighbors import cagra

        rows = torch.from_numpy(np.ascontiguousarray(to_floats(items, "items"))).cuda()
        parameters = cagra.IndexParams(metric="inner_product")
        self._index, self._length = cagra.build(parameters, rows), len(rows)
        self.size_bytes = 4 * rows.numel() + 4 * int(parameters.graph_degree) * len(rows)

    def search(self, queries: Embeddings, k: int) -> Ranking:
        """The k items that the walk finds."""
        import torch
        from cuvs.neighbors import cagra

        k = check_k(k, self._length)
        rows = torch.from_numpy(np.ascontiguousarray(to_floats(queries, "queries"))).cuda()
        parameters = cagra.SearchParams(itopk_size=max(self.itopk_size, k))
        found = [part.copy_to_host() for part in cagra.search(parameters, self._index, rows, k)]
        values, items = sorted(found, key=lambda part: part.dtype.kind in "iu")  # versions differ in their order
        return Ranking(values, items.astype(np.int64))


def gpu_absent(name: str) -> str | None:
    """Why a rival cannot run here; None where it can."""
    import torch

    if not torch.cuda.is_available():
        return "no GPU"
    if name not in _FOREIGN:
        return None
    if name == "gpu_cagra":
        return None if importlib.util.find_spec("cuvs") else "cuVS is not installed"
    return None if hasattr(import_faiss(), "GpuIndexFlat") else "FAISS has no GPU part (extra gpu)"


_FOREIGN = ("gpu_flat", "gpu_binary_flat", "gpu_cagra")
GPU_RIVALS: dict[str, Callable[[Callable[[int], ITQ]], Any]] = {
    "gpu_flat": lambda binariser: GpuFlat(),
    "gpu_binary_flat": lambda binariser: GpuBinaryFlat(binariser(256)),
    "gpu_cagra": lambda binariser: Cagra(),
    "gpu_exact": lambda binariser: ExactSearch("inner", device="cuda"),
    "gpu_popcount": lambda binariser: PopcountSearch(256, itq=binariser(256), device="cuda"),
    "gpu_hybrid": lambda binariser: HybridSearch("inner", rows="float16", device="cuda"),
}
