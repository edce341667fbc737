"""Table 7 of the paper: float and binary indexes on synthetic vectors, streamed, so that any size fits."""

import math
import resource
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fico.bench.search import recalls
from fico.bench.synthetic import SyntheticBlocks
from fico.bench.timing import once, timed
from fico.errors import UsageError
from fico.search.base import Searcher, merge
from fico.search.binarise import Binariser
from fico.search.exact import prepare, scores, top_k
from fico.search.faiss_index import FaissSearch
from fico.search.hybrid import HybridSearch
from fico.search.popcount import PopcountSearch, cores
from fico.types import Ranking

INDEXES = ("flat", "hnsw", "binary_flat", "binary_ivf", "popcount", "hybrid")
_FLOAT = ("flat", "hnsw", "hybrid")
_BLOCK = 16_384  # rows made at a time
_ITQ_ROWS = 32_768  # FAISS learns ITQ from at most so many
_LIST_ROWS = 100_000  # that the partition of the coarse-to-fine index is learnt from


@dataclass(frozen=True, slots=True)
class Table7:
    """What to measure.

    Args:
        queries: Queries of the experiment; the paper has a fifth of the items.
        items: Items.
        dim: Numbers in a vector.
        bits: Code length of ITQ.
        seed: Of the data.
        indexes: Which of ``INDEXES``.
        ks: Places.
        searched: Queries that are searched and timed, the first ones; times are scaled to all.
        truth: Queries, the first ones, for which the exact answer is computed.
        threads: Cores.
        rows_path: File for the floats of the coarse-to-fine index. None: memory.
    """

    queries: int = 10_000
    items: int = 50_000
    dim: int = 2048
    bits: int = 64
    seed: int = 1338
    indexes: Sequence[str] = INDEXES
    ks: Sequence[int] = (1, 100, 1000)
    searched: int = 10_000
    truth: int = 1000
    threads: int = field(default_factory=cores)
    rows_path: Path | None = None

    def predicted(self) -> dict[str, tuple[float, float]]:
        """Seconds and bytes of each index, from rates of one core of 2025; within a factor of three elsewhere."""
        searched, pairs = min(self.searched, self.queries), min(self.searched, self.queries) * self.items
        made = self.items * self.dim / 4e7
        product = 2 * self.dim / 6e10 / self.threads
        rows, per_thread = 4 * self.dim * self.items, 1 / self.threads
        times = {
            "truth": made + min(self.truth, self.queries) * self.items * product,
            "flat": made + pairs * product,
            "hnsw": made + (self.items * 1e-5 * math.log(self.items) ** 1.5 + searched * 3e-4) * per_thread,
            "binary_flat": pairs / 1e9 * per_thread,
            "binary_ivf": 30 * per_thread + pairs / 4e9 * per_thread,
            "popcount": pairs / 8e9 * per_thread,
            "hybrid": 2 * made + 40 + searched * 4e-4 * per_thread,
        }
        fixed = 80 * (self.items + self.queries) + 4 * self.dim * (searched + 4 * _BLOCK) + self.items * self.bits // 8
        sizes = {"flat": rows, "hnsw": rows + 272 * self.items, "hybrid": 56 * self.items}
        if self.rows_path is None:
            sizes["hybrid"] += rows  # half of it twice, while the blocks are joined
        return {
            name: (seconds, float(fixed + sizes.get(name, self.items * self.bits // 8)))
            for name, seconds in times.items()
            if name == "truth" or name in self.indexes
        }

    def check(self) -> None:
        """Refuses what this machine cannot hold, and sizes out of range.

        Raises:
            UsageError: Memory is short (the predicted size is named), an index is unknown, or a count is not positive.
        """
        unknown = [name for name in self.indexes if name not in INDEXES]
        if unknown:
            raise UsageError(f"index {unknown[0]!r} is unknown; choose of {', '.join(INDEXES)}")
        if min(self.queries, self.items, self.searched, self.truth, self.threads) < 1 or max(self.ks) > self.items:
            raise UsageError(
                f"counts must be positive and the largest k, {max(self.ks)}, at most the items, {self.items}"
            )
        free = available_bytes()
        for name, (_, size) in self.predicted().items():
            if free is not None and size > free:
                raise UsageError(
                    f"{name} with {self.items} items of {self.dim} floats needs about {size / 2**30:.1f} GiB, but "
                    f"{free / 2**30:.1f} GiB are free; leave it out of the indexes or take fewer items"
                )

    def run(self, report: Callable[[str], None]) -> dict[str, Any]:
        """Makes the data and measures every index.

        Args:
            report: Told what begins.

        Returns:
            ``settings``, ``codes`` (times of ITQ) and ``rows``, one per index as ``compare_indexes`` gives them.

        Raises:
            UsageError: As ``check``.
        """
        self.check()
        report("vectors, ITQ codes and the exact answers")
        data = SyntheticBlocks(self.dim, self.items, self.queries, seed=self.seed)
        chosen = self._sample(_ITQ_ROWS)
        binariser = Binariser(self.bits)
        _, fitted = once(lambda: binariser.fit(data.chosen_items(chosen)))
        queries = data.query_rows(0, self.searched)
        codes, encode_seconds, exact = self._pass(data, binariser, queries[: self.truth])
        query_codes, encoded = once(lambda: binariser.encode(queries, "queries"))
        rows = []
        for name in self.indexes:
            report(name)
            given = queries if name in _FLOAT else query_codes
            blocks = (lambda: _blocks(data)) if name in _FLOAT else (lambda: iter([codes]))
            rows.append({"index": name} | self._measure(self._make(name, data), blocks, given, exact))
        times = {"fit_seconds": fitted.seconds, "items_seconds": encode_seconds, "queries_seconds": encoded.seconds}
        return {"settings": asdict(self), "codes": times, "rows": rows}

    def _make(self, name: str, data: SyntheticBlocks) -> Searcher:
        makers: dict[str, Callable[[], Searcher]] = {
            "flat": lambda: FaissSearch("Flat", "inner", threads=self.threads),
            "hnsw": lambda: FaissSearch("HNSW32", "inner", threads=self.threads),
            "binary_flat": lambda: FaissSearch("BFlat", bits=self.bits, threads=self.threads),
            "binary_ivf": lambda: FaissSearch(
                "BIVF{lists}", bits=self.bits, search_params={"nprobe": 16}, threads=self.threads
            ),
            "popcount": lambda: PopcountSearch(self.bits, threads=self.threads),
            "hybrid": lambda: self._hybrid(data),
        }
        return makers[name]()

    def _hybrid(self, data: SyntheticBlocks) -> Searcher:
        searcher = HybridSearch(
            "inner", candidates=max(100, *self.ks), rows="float16", rows_path=self.rows_path, threads=self.threads
        )
        return searcher.fit(data.chosen_items(self._sample(_LIST_ROWS)), self.items)

    def _sample(self, count: int) -> np.ndarray:
        return np.sort(np.random.default_rng(self.seed).permutation(self.items)[:count])

    def _pass(
        self, data: SyntheticBlocks, binariser: Binariser, queries: np.ndarray
    ) -> tuple[np.ndarray, float, np.ndarray]:
        """One pass over the items: their codes, the seconds that encoding took, and the exact nearest items."""
        codes = np.empty((self.items, self.bits // 8), np.uint8)
        left, best, seconds, start = prepare(queries, "inner"), None, 0.0, 0
        for block in _blocks(data):
            encoded, time = once(partial(binariser.encode, block))
            codes[start : start + len(block)] = encoded
            seconds += time.seconds
            found = top_k(scores(left, prepare(block, "inner"), "inner"), min(max(self.ks), len(block)), start)
            best = found if best is None else merge([best, found], max(self.ks))
            start += len(block)
        assert best is not None
        return codes, seconds, best.indices

    def _measure(
        self, searcher: Searcher, blocks: Callable[[], Iterator[np.ndarray]], queries: np.ndarray, exact: np.ndarray
    ) -> dict[str, Any]:
        build = [once(partial(searcher.add, block))[1] for block in blocks()]
        k = max(self.ks)
        found, search = timed(lambda: searcher.search(queries, k), repeats=3, budget_seconds=20, warm_up=False)
        top1, overlap = recalls_by_item(found, exact, self.ks)
        return {
            "settings": searcher.name,
            "queries": len(queries),
            "items": self.items,
            "k": k,
            "build_seconds": sum(time.seconds for time in build),
            "build_cpu_seconds": sum(time.cpu_seconds for time in build),
            "search_seconds": search.seconds,
            "search_cpu_seconds": search.cpu_seconds,
            "search_spread_seconds": search.spread_seconds,
            "all_queries_seconds": search.seconds * self.queries / len(queries),
            "repeats": search.repeats,
            "threads": self.threads,
            "index_bytes": searcher.size_bytes,
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "recall_queries": len(exact),
            "top1_in_k": top1,
            "overlap_at_k": overlap,
        }


def recalls_by_item(found: Ranking, exact: np.ndarray, ks: Sequence[int]) -> tuple[dict[int, float], dict[int, float]]:
    """``recalls`` where the exact items are known and their scores are not; ties are not looked for.

    Args:
        found: What the index gave; its first queries are those of ``exact``.
        exact: ``queries places``: exact nearest items, best first.
        ks: Places.

    Returns:
        ``top1_in_k`` and ``overlap_at_k``.
    """
    order = np.argsort(exact, axis=1)
    got = np.full((len(exact), found.indices.shape[1]), -np.inf)
    for row, items in enumerate(found.indices[: len(exact)]):
        known = exact[row, order[row]]
        at = np.minimum(np.searchsorted(known, items), len(known) - 1)
        got[row] = np.where(known[at] == items, -order[row, at].astype(float), -np.inf)
    places = np.broadcast_to(-np.arange(exact.shape[1]), exact.shape)
    return recalls(got, places, ks)


def _blocks(data: SyntheticBlocks) -> Iterator[np.ndarray]:
    return (data.item_rows(start, start + _BLOCK) for start in range(0, data.items, _BLOCK))


def available_bytes() -> int | None:
    """Free memory of this machine; None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), None)
