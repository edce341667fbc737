"""The indexes that are compared with brute force, each at the setting at which it leaves nothing out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fico.search.base import UpdatableSearcher
from fico.search.exact import ExactSearch
from fico.search.faiss_index import FaissSearch
from fico.search.hamming.popcount import PopcountSearch
from fico.search.hybrid.hybrid import HybridSearch
from fico.search.sharded.shards import Shardable, ShardedSearch

FLOATS = ("cosine", "inner", "euclidean")
CODES = ("hamming",)
_LISTS = 3
_ALL = 10**6  # more than there are


@dataclass(frozen=True, slots=True)
class Exhaustive:
    """An index and what it takes.

    Args:
        make: Makes it, from the metric, the columns of the items and a number of threads.
        metrics: Those it can search by.
        least: Items of the first ``add``, and columns, at least.
        orders_ties: Equal scores come by lowest row.
        is_half: Keeps numbers in half precision, so that whole numbers alone are exact.
    """

    make: Callable[[Any, int, int], UpdatableSearcher]
    metrics: Sequence[str] = FLOATS
    least: int = 1
    orders_ties: bool = False
    is_half: bool = False


def _faiss(factory: str, shards: int = 1, **parameters: float) -> Callable[[Any, int, int], UpdatableSearcher]:
    def make(metric: Any, columns: int, threads: int) -> UpdatableSearcher:
        is_binary, name = factory.startswith("B"), factory.replace("{columns}", str(columns))
        bits, metric = (columns, "hamming") if is_binary else (None, metric)
        return FaissSearch(name, metric, bits, parameters, threads, shards=shards)

    return make


def _hybrid(rows: Any) -> Callable[[Any, int, int], Shardable]:
    def make(metric: Any, columns: int, threads: int) -> Shardable:
        limits: dict[str, Any] = {"lists": _LISTS, "nprobe": _LISTS, "candidates": _ALL}
        return HybridSearch(metric, 16, rows=rows, train_rows=1000, threads=threads, **limits)

    return make


def _exact(metric: Any, columns: int, threads: int) -> ExactSearch:
    return ExactSearch(metric, columns if metric == "hamming" else None, memory_limit=2**14)


def _popcount(metric: Any, columns: int, threads: int) -> PopcountSearch:
    return PopcountSearch(columns, threads)


INDEXES = {
    "exact": Exhaustive(_exact, (*FLOATS, *CODES), orders_ties=True),
    "popcount": Exhaustive(_popcount, CODES, orders_ties=True),
    "hybrid": Exhaustive(_hybrid("float32"), least=8, orders_ties=True),
    "hybrid float16": Exhaustive(_hybrid("float16"), least=8, orders_ties=True, is_half=True),
    "sharded exact": Exhaustive(
        lambda *how: ShardedSearch(lambda: _exact(*how), 3), (*FLOATS, *CODES), orders_ties=True
    ),
    "sharded popcount": Exhaustive(lambda *how: ShardedSearch(lambda: _popcount(*how), 3), CODES, orders_ties=True),
    "sharded hybrid": Exhaustive(lambda *how: ShardedSearch(lambda: _hybrid("float32")(*how), 2), least=8),
    "Flat": Exhaustive(_faiss("Flat")),
    "Flat, 3 shards": Exhaustive(_faiss("Flat", 3)),
    "RR,Flat": Exhaustive(_faiss("RR{columns},Flat")),
    "Flat,RFlat": Exhaustive(_faiss("Flat,RFlat")),
    "SQfp16": Exhaustive(_faiss("SQfp16"), ("inner", "euclidean"), is_half=True),
    "IVF,Flat": Exhaustive(_faiss(f"IVF{_LISTS},Flat", nprobe=_LISTS), least=_LISTS),
    "BFlat": Exhaustive(_faiss("BFlat"), CODES),
    "BFlat, 3 shards": Exhaustive(_faiss("BFlat", 3), CODES),
    "BIVF": Exhaustive(_faiss(f"BIVF{_LISTS}", nprobe=_LISTS), CODES, least=_LISTS),
}
