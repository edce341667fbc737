"""The indexes that are compared, each with the search parameters that trade time for recall."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from fico.bench.pareto.gpu_rivals import GPU_RIVALS, gpu_absent
from fico.bench.pareto.library_rivals import LIBRARY_RIVALS, library_absent
from fico.bench.pareto.rival import BuildContext, Rival, SearchParams
from fico.search.base import Searcher
from fico.search.faiss_index import FaissSearch
from fico.search.hamming.popcount import PopcountSearch
from fico.search.hybrid.hybrid import HybridSearch


def absent(name: str) -> str | None:
    """Why a rival cannot run here; None where it can."""
    if name in GPU_RIVALS:
        return gpu_absent(name)
    return library_absent(name) if name in LIBRARY_RIVALS else None


def _faiss(factory: str, bits: int | None = None, metric: str = "inner") -> Callable[[BuildContext], Searcher]:
    """A FAISS index; ``{lists}`` is left to it, ``{few}`` stands for 1.2 sqrt(n), ``{dim}`` for the dimensions."""

    def make(context: BuildContext) -> Searcher:
        few = max(1, min(round(1.2 * math.sqrt(context.items)), context.items // 39))
        binariser = None if bits is None else context.binariser(bits)
        name = factory.replace("{few}", str(few)).replace("{dim}", str(context.dim))
        return FaissSearch(name, metric, bits=bits, threads=context.threads, itq=binariser)

    return make


def _gpu(name: str) -> Callable[[BuildContext], Searcher]:
    return lambda context: GPU_RIVALS[name](context.binariser)


def _library(name: str) -> Callable[[BuildContext], Searcher]:
    return lambda context: LIBRARY_RIVALS[name][1](context.threads)


def _popcount(bits: int) -> Callable[[BuildContext], Searcher]:
    return lambda context: PopcountSearch(bits, context.threads, context.binariser(bits))


def _hybrid(rows: Any, lists: int | None = None) -> Callable[[BuildContext], Searcher]:
    """Coarse to fine; with one list all codes are scanned."""
    return lambda context: HybridSearch("inner", lists=lists, rows=rows, threads=context.threads)


def _grid(**values: Sequence[float]) -> list[SearchParams]:
    """All combinations."""
    grid: list[SearchParams] = [{}]
    for name, choices in values.items():
        grid = [{**params, name: choice} for params in grid for choice in choices]
    return grid


_EF = [{"efSearch": ef} for ef in (10, 16, 24, 32, 48, 64, 96, 128)]
_NPROBE = _grid(nprobe=(1, 2, 4, 8, 16, 32, 64))
_REFINED = _grid(nprobe=(4, 8, 16, 32, 64), k_factor_rf=(5, 10, 20, 50))
_CANDIDATES = (25, 50, 100, 200, 300, 400, 800, 1600, 3200)
_HYBRID = _grid(nprobe=(2, 4, 8, 16, 32, 64), candidates=_CANDIDATES)


def _scan_us(items: int, dim: int) -> float:
    return 4e-4 * items + 0.05 * dim


def _floats(extra: float = 0.0) -> Callable[[int], float]:
    return lambda dim: 4 * dim + extra


def _codes(bits: int) -> Callable[[int], float]:
    return lambda dim: bits / 8 + 16


RIVALS: dict[str, Rival] = {
    "flat": Rival(_faiss("Flat"), [{}], _floats(), lambda n, d: n * d * 4e-5),
    "hnsw": Rival(_faiss("HNSW32"), _EF, _floats(272), lambda n, d: 0.2 * d),
    "hnsw_fp16": Rival(_faiss("HNSW32,SQfp16"), _EF, lambda d: 2 * d + 272, lambda n, d: 0.3 * d),
    "hnsw_sq8": Rival(_faiss("HNSW32,SQ8"), _EF, lambda d: d + 272, lambda n, d: 0.3 * d),
    "sq8": Rival(_faiss("SQ8"), [{}], float, lambda n, d: n * d * 1e-4),
    "ivf_sq8": Rival(_faiss("IVF{few},SQ8"), _NPROBE, float, lambda n, d: n * d * 1e-5),
    "ivf_pq_fastscan": Rival(_faiss("PCA64,IVF{few},PQ32x4fs,RFlat"), _REFINED, _floats(32), lambda n, d: 0.1 * d),
    "rabitq_fastscan": Rival(_faiss("PCA256,IVF{few},RaBitQfs,RFlat"), _REFINED, _floats(56), lambda n, d: 0.1 * d),
    "rabitq_fastscan_fp16": Rival(
        _faiss("PCA256,IVF{few},RaBitQfs,Refine(SQfp16)"), _REFINED, lambda d: 2 * d + 56, lambda n, d: 0.1 * d
    ),
    "rabitq_fastscan_4": Rival(
        _faiss("RR{dim},IVF{few},RaBitQfs4"), _NPROBE, lambda d: d / 2 + 24, lambda n, d: 0.2 * d
    ),
    "rabitq_fastscan_4_fp16": Rival(
        _faiss("RR{dim},IVF{few},RaBitQfs4,Refine(SQfp16)"),
        _grid(nprobe=(2, 4, 8, 16, 32), k_factor_rf=(2, 5, 10)),
        lambda d: 2.5 * d + 24,
        lambda n, d: 0.2 * d,
    ),
    "hnsw_rabitq": Rival(
        _faiss("HNSW32,RaBitQ4", metric="euclidean"), _EF, lambda d: d / 2 + 300, lambda n, d: 0.5 * d, True
    ),
    "ivf_panorama": Rival(_faiss("PCA{dim},IVF{few},FlatPanorama8"), _NPROBE, _floats(48), lambda n, d: n * d * 1e-5),
    "binary_flat": Rival(_faiss("BFlat", 256), [{}], _codes(256), lambda n, d: 1e-3 * n),
    "binary_ivf": Rival(_faiss("BIVF{lists}", 256), _grid(nprobe=(4, 16, 64)), _codes(256), lambda n, d: 1e-4 * n),
    "binary_hnsw": Rival(_faiss("BHNSW32", 256), _grid(efSearch=(16, 32, 64, 128)), lambda d: 320, lambda n, d: 60.0),
    "multi_hash": Rival(_faiss("BHash4x16", 64), _grid(nflip=(0, 1, 2)), _codes(512), lambda n, d: 500.0),
    "popcount_64": Rival(_popcount(64), [{}], _codes(64), lambda n, d: 2e-4 * n),
    "popcount_256": Rival(_popcount(256), [{}], _codes(256), lambda n, d: 4e-4 * n),
    "scan_rerank": Rival(_hybrid("float16", 1), _grid(candidates=_CANDIDATES), lambda d: 2 * d + 48, _scan_us),
    "hybrid": Rival(_hybrid("float32"), _HYBRID, _floats(48), lambda n, d: 0.05 * d),
    "hybrid_fp16": Rival(_hybrid("float16"), _HYBRID, lambda d: 2 * d + 48, lambda n, d: 0.05 * d),
    "hybrid_int8": Rival(_hybrid("int8"), _HYBRID, lambda d: d + 48, lambda n, d: 0.05 * d),
    "rabitq_ivf_4": Rival(_library("rabitq_ivf_4"), _NPROBE, lambda d: d / 2 + 24, lambda n, d: 0.1 * d),
    "rabitq_ivf_7": Rival(_library("rabitq_ivf_7"), _NPROBE, lambda d: d + 24, lambda n, d: 0.1 * d),
    "rabitq_ivf_raw": Rival(_library("rabitq_ivf_raw"), _NPROBE, _floats(72), lambda n, d: 0.1 * d),
    "rabitq_hnsw": Rival(_library("rabitq_hnsw"), _grid(ef=(16, 32, 64, 128)), lambda d: d + 200, lambda n, d: 0.1 * d),
    "symphony_qg": Rival(
        _library("symphony_qg"), _grid(ef=(10, 20, 40, 80, 160)), lambda d: 12 * d, lambda n, d: 0.1 * d
    ),
    "usearch_int8": Rival(
        _library("usearch_int8"), _grid(ef=(16, 32, 64, 128)), lambda d: d + 300, lambda n, d: 0.3 * d
    ),
    "hnswlib": Rival(_library("hnswlib"), _grid(ef=(16, 32, 64, 128)), _floats(150), lambda n, d: 0.2 * d),
    "svs_vamana": Rival(
        _library("svs_vamana"), _grid(window=(10, 20, 40, 80)), lambda d: 4 * d + 270, lambda n, d: 0.2 * d
    ),
    "scann": Rival(
        _library("scann"),
        _grid(leaves=(4, 8, 16, 32, 64), candidates=(20, 50, 100, 200)),
        lambda d: 4.25 * d,
        lambda n, d: 0.2 * d,
    ),
    "gpu_flat": Rival(_gpu("gpu_flat"), [{}], _floats(), lambda n, d: 1.0),
    "gpu_binary_flat": Rival(_gpu("gpu_binary_flat"), [{}], _codes(256), lambda n, d: 1.0),
    "gpu_cagra": Rival(_gpu("gpu_cagra"), _grid(itopk_size=(32, 64, 128, 256)), _floats(256), lambda n, d: 1.0),
    "gpu_exact": Rival(_gpu("gpu_exact"), [{}], _floats(), lambda n, d: 1.0),
    "gpu_popcount": Rival(_gpu("gpu_popcount"), [{}], _codes(256), lambda n, d: 1.0),
    "gpu_hybrid": Rival(_gpu("gpu_hybrid"), _grid(candidates=_CANDIDATES), _codes(256), lambda n, d: 1.0),
}
