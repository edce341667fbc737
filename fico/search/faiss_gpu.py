"""FAISS indexes on a GPU: what a build of FAISS and a factory allow, the way there and back, and CAGRA.

A GPU index has FAISS's interface of the CPU's; searches take and give arrays in the computer's memory.
"""

import re
from typing import Any

import numpy as np

from fico.errors import UsageError
from fico.search.base import import_faiss
from fico.search.gpu.device import check_device

MOST_K = 2048  # items of a query that FAISS's kernels find
_ON_GPU = re.compile(r"(PCAR?\d+,|OPQ\d+(_\d+)?,)?(Flat|IVF(\d+|\{lists\}),(Flat|PQ\d+|SQ8|SQfp16))|BFlat|CAGRA\d+")
_CAGRA = "CAGRA"


def check_gpu(factory: str, device: str, shards: int = 1) -> None:
    """Refuses a device that FAISS cannot use, or not for this factory; cheap, for a run to do before it trains.

    Args:
        factory: FAISS factory string, or ``CAGRA<degree>``, the graph search of cuVS.
        device: ``cpu``, ``cuda`` or ``cuda:<number>``.
        shards: Of the index.

    Raises:
        UsageError: This build of FAISS has no GPU part or no CAGRA, there is no such device, or the factory has no
            version for it.
    """
    if device == "cpu":
        if factory.startswith(_CAGRA):
            raise UsageError(f"{factory} searches on a GPU alone; set device=cuda, or take HNSW32")
        return
    faiss = import_faiss()
    if not hasattr(faiss, "StandardGpuResources"):
        raise UsageError(
            f"device is {device!r}, but this build of FAISS ({faiss.__version__}) has no GPU part; install the extra "
            "gpu (constraints-gpu.txt) in place of cpu, or take device=cpu"
        )
    if factory.startswith(_CAGRA) and not hasattr(faiss, "GpuIndexCagra"):
        raise UsageError(f"{factory} needs FAISS with cuVS, which this build is not; install faiss-gpu-cuvs")
    if not _ON_GPU.fullmatch(factory):
        raise UsageError(
            f"FAISS has no {factory!r} on a GPU; take device=cpu, or Flat, IVF with Flat, PQ, SQ8 or SQfp16, BFlat or "
            "CAGRA64"
        )
    if shards > 1:
        raise UsageError(f"shards is {shards}, but an index on a GPU is one; leave shards out")
    check_device(device)


def to_gpu(index: Any, device: str) -> Any:
    """A copy of an index, with its training and its items, on a GPU; the index itself for ``cpu``."""
    if device == "cpu" or isinstance(index, Cagra):
        return index
    faiss = import_faiss()
    resources = faiss.StandardGpuResources()
    if isinstance(index, faiss.IndexBinary):
        config = faiss.GpuIndexBinaryFlatConfig()
        config.device = device_number(device)
        moved = faiss.GpuIndexBinaryFlat(resources, index, config)
    else:
        moved = faiss.index_cpu_to_gpu(resources, device_number(device), index)
    moved.resources = resources  # memory of the device, which must live as long as the index
    return moved


def to_cpu(index: Any) -> Any:
    """A copy of a GPU index in the computer's memory; any other is returned as it is."""
    faiss = import_faiss()
    if not hasattr(index, "resources"):
        return index
    if isinstance(index, faiss.IndexBinary):
        copy = faiss.IndexBinaryFlat(index.d)
        index.copyTo(copy)
        return copy
    return faiss.index_gpu_to_cpu(index)


def device_number(device: str) -> int:
    """0 of ``cuda``, else what follows the colon."""
    return int(device.partition(":")[2] or 0)


class Cagra:
    """FAISS's ``GpuIndexCagra``, a graph that cuVS builds of all items at once, behind the interface of an index.

    Args:
        width: Dimensions of the floats.
        metric: FAISS's number of the metric.
        degree: Edges of an item.
        device: ``cuda`` or ``cuda:<number>``.
    """

    is_trained = True
    itopk_size = 64
    """Candidates kept while walking, which trades time for recall."""

    def __init__(self, width: int, metric: int, degree: int, device: str) -> None:
        faiss = import_faiss()
        config = faiss.GpuIndexCagraConfig()
        config.graph_degree, config.device = degree, device_number(device)
        self.resources = faiss.StandardGpuResources()
        self._index = faiss.GpuIndexCagra(self.resources, width, metric, config)
        self.d, self.ntotal, self._bytes = width, 0, 4 * degree + 4 * width

    @property
    def size_bytes(self) -> int:
        """Bytes of the vectors and the edges."""
        return self._bytes * self.ntotal

    def add(self, rows: np.ndarray) -> None:
        """Builds the graph.

        Raises:
            UsageError: It is built already.
        """
        if self.ntotal:
            raise UsageError("CAGRA builds its graph of all items at once; add them in one call, or take HNSW32")
        self._index.train(rows)
        self.ntotal = len(rows)

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Distances or products, and items, as FAISS gives them."""
        parameters = import_faiss().SearchParametersCagra()
        parameters.itopk_size = max(self.itopk_size, k)
        values, items = self._index.search(queries, k, params=parameters)
        return values, items
