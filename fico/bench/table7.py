"""Table 7 of the paper: float and binary indexes on synthetic vectors, streamed, so that any size fits."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fico.bench.checks import check_code, check_counts, check_ks, check_names
from fico.bench.machine import conditions, refuse_beyond_memory
from fico.bench.outcome import Outcome, Report
from fico.bench.synthetic import SyntheticBlocks
from fico.bench.table7_sheet import sheet
from fico.bench.timing import once, timed
from fico.bench.truth import StreamedTruth, recalls_by_item
from fico.search.base import Searcher
from fico.search.binarise import Binariser
from fico.search.faiss_index import FaissSearch
from fico.search.hybrid import HybridSearch
from fico.search.popcount import PopcountSearch, cores

INDEXES = ("flat", "hnsw", "binary_flat", "binary_ivf", "popcount", "hybrid")
_FLOAT = ("flat", "hnsw", "hybrid")
_BLOCK = 16_384  # rows made at a time
_ITQ_ROWS = 32_768  # FAISS learns ITQ from at most so many
_LIST_ROWS = 100_000  # that the partition of the coarse-to-fine index is learnt from


@dataclass(frozen=True, slots=True)
class Table7:
    """What to measure. The paper's sizes are 100K queries of 500K items, 500K of 2.5M and 1M of 5M.

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
        threads: Cores. None: all of this process.
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
    threads: int | None = None
    rows_path: str | Path | None = None

    @property
    def cores(self) -> int:
        """Cores that it uses."""
        return self.threads or cores()

    def predicted(self) -> dict[str, tuple[float, float]]:
        """Seconds and bytes of each index, from rates of one core of 2025; within a factor of three elsewhere."""
        searched, pairs = min(self.searched, self.queries), min(self.searched, self.queries) * self.items
        made = self.items * self.dim / 4e7
        product = 2 * self.dim / 6e10 / self.cores
        rows, per_thread = 4 * self.dim * self.items, 1 / self.cores
        times = {
            "truth": made + min(self.truth, self.queries) * self.items * product,
            "flat": made + pairs * product,
            "hnsw": made + (self.items * 1e-5 * math.log(self.items) ** 1.5 + searched * 3e-4) * per_thread,
            "binary_flat": pairs / 1e9 * per_thread,
            "binary_ivf": min(30, self.items * 3e-5) * per_thread + pairs / 4e9 * per_thread,
            "popcount": pairs / 8e9 * per_thread,
            "hybrid": 2 * made + min(40, self.items * 4e-4) + searched * 4e-4 * per_thread,
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
        check_names(self.indexes, INDEXES)
        check_counts(self, ("queries", "items", "dim", "bits", "searched", "truth", "threads"))
        check_ks(self.ks, self.items)
        check_code(self.bits, self.items, self.dim)
        needs = {name: size for name, (_, size) in self.predicted().items()}
        advice = "leave it out of bench.indexes or take fewer items"
        refuse_beyond_memory(needs, f"with {self.items:,} items of {self.dim} floats", advice)

    def run(self, report: Report) -> Outcome:
        """Makes the data and measures every index.

        Args:
            report: Told what begins.

        Returns:
            One row per index as ``compare_indexes`` gives them; under ``settings`` the times of ITQ.

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
            rows.append({"index": name} | self._measure(self._make(name), data, blocks, given, exact))
        codes_took = {
            "itq_fit_seconds": fitted.seconds,
            "itq_items_seconds": encode_seconds,
            "itq_queries_cpu_seconds": encoded.cpu_seconds,
        }
        cost = 1e6 * encoded.cpu_seconds / len(queries)
        note = f"Codes: ITQ of {self.bits} bits; encoding a query costs {cost:.1f} us of CPU, which the rows leave out."
        table = sheet(rows, self.queries, self.items, self.ks, self.cores)
        return Outcome(rows, (table,), settings=asdict(self) | codes_took, notes=(note,))

    def _make(self, name: str) -> Searcher:
        makers: dict[str, Callable[[], Searcher]] = {
            "flat": lambda: FaissSearch("Flat", "inner", threads=self.cores),
            "hnsw": lambda: FaissSearch("HNSW32", "inner", threads=self.cores),
            "binary_flat": lambda: FaissSearch("BFlat", bits=self.bits, threads=self.cores),
            "binary_ivf": lambda: FaissSearch(
                "BIVF{lists}", bits=self.bits, search_params={"nprobe": 16}, threads=self.cores
            ),
            "popcount": lambda: PopcountSearch(self.bits, threads=self.cores),
            "hybrid": lambda: HybridSearch(
                "inner", candidates=max(100, *self.ks), rows="float16", rows_path=self.rows_path, threads=self.cores
            ),
        }
        return makers[name]()

    def _sample(self, count: int) -> np.ndarray:
        return np.sort(np.random.default_rng(self.seed).permutation(self.items)[:count])

    def _pass(
        self, data: SyntheticBlocks, binariser: Binariser, queries: np.ndarray
    ) -> tuple[np.ndarray, float, np.ndarray]:
        """One pass over the items: their codes, the seconds that encoding took, and the exact nearest items."""
        codes = np.empty((self.items, self.bits // 8), np.uint8)
        truth, seconds, start = StreamedTruth(queries, max(self.ks)), 0.0, 0
        for block in _blocks(data):
            encoded, time = once(partial(binariser.encode, block))
            codes[start : start + len(block)] = encoded
            seconds += time.seconds
            truth.add(block)
            start += len(block)
        return codes, seconds, truth.ranking.indices

    def _measure(
        self,
        searcher: Searcher,
        data: SyntheticBlocks,
        blocks: Callable[[], Iterator[np.ndarray]],
        queries: np.ndarray,
        exact: np.ndarray,
    ) -> dict[str, Any]:
        """Build, without making the data but with all that is learnt from them, and search."""
        build = []
        if isinstance(searcher, HybridSearch):
            chosen = data.chosen_items(self._sample(_LIST_ROWS))
            build.append(once(partial(searcher.fit, chosen, self.items))[1])
            del chosen
        build += [once(partial(searcher.add, block))[1] for block in blocks()]
        k = max(self.ks)
        found, search = timed(lambda: searcher.search(queries, k), repeats=3, budget_seconds=20, warm_up=False)
        top1, overlap = recalls_by_item(found, exact, self.ks)
        return {
            "settings": searcher.name,
            "queries": len(queries),
            "all_queries": self.queries,
            "items": self.items,
            "k": k,
            "build_seconds": sum(time.seconds for time in build),
            "build_cpu_seconds": sum(time.cpu_seconds for time in build),
            "search_seconds": search.seconds,
            "search_cpu_seconds": search.cpu_seconds,
            "search_spread_seconds": search.spread_seconds,
            "all_queries_seconds": search.seconds * self.queries / len(queries),
            "repeats": search.repeats,
            "threads": self.cores,
            "index_bytes": searcher.size_bytes,
            "recall_queries": len(exact),
            "top1_in_k": top1,
            "overlap_at_k": overlap,
        } | conditions()


def _blocks(data: SyntheticBlocks) -> Iterator[np.ndarray]:
    return (data.item_rows(start, start + _BLOCK) for start in range(0, data.items, _BLOCK))
