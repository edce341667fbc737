"""Table 7 of the paper: float and binary indexes on synthetic vectors, streamed, so that any size fits."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fico.bench.checks import check_code, check_counts, check_ks, check_names
from fico.bench.machine import conditions
from fico.bench.outcome import Outcome, Report
from fico.bench.synthetic import SyntheticBlocks
from fico.bench.table7.tables import cpu_table
from fico.bench.timing import once, timed
from fico.bench.truth import StreamedTruth, recalls_by_item
from fico.codes import HashCodes
from fico.errors import UsageError
from fico.search.base import Searcher
from fico.search.faiss_index import FaissSearch
from fico.search.hamming.popcount import PopcountSearch
from fico.search.hybrid.hybrid import HybridSearch
from fico.search.itq import ITQ
from fico.util.resources import cores, require_disk, require_memory

INDEXES = ("flat", "hnsw", "binary_flat", "binary_ivf", "popcount", "hybrid")
_FLOAT = ("flat", "hnsw", "hybrid")
_BLOCK = 16_384  # rows made at a time
_ITQ_ROWS = 32_768  # FAISS learns ITQ from at most this many
_LIST_ROWS = 100_000  # that the partition of the coarse-to-fine index is learnt from
_COMPILED = 1000  # items of an index that is built to compile what searches it


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
        ks: Cut-offs.
        searched: Queries that are searched and timed, the first ones; times are scaled to all.
        truth: Queries, the first ones, for which the exact answer is computed.
        threads: Cores. None: all of this process.
        lists: Inverted lists of ``binary_ivf``; fewer where items are few.
        nprobe: Lists that a query of ``binary_ivf`` scans.
        rows_path: New file for the floats of the coarse-to-fine index, deleted at the end. None: memory.
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
    lists: int = 256
    nprobe: int = 16
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
            "binary_flat": pairs / 8e8 * per_thread,
            "binary_ivf": 1 + self.items * 1e-6 + pairs * self.nprobe / self.lists / 8e8 * per_thread,
            "popcount": pairs / 1.2e10 * per_thread,
            "hybrid": 2 * made + min(40, self.items * 4e-4) + searched * 4e-4 * per_thread,
        }
        fixed = 80 * (self.items + self.queries) + 4 * self.dim * (searched + 4 * _BLOCK) + self.items * self.bits // 8
        sizes = {"flat": rows, "hnsw": rows + 272 * self.items, "hybrid": 56 * self.items}
        sizes["hybrid"] += 12 * self.dim * min(self.items, _LIST_ROWS)  # what it learns from, three times
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
        names = ("queries", "items", "dim", "bits", "searched", "truth", "lists", "nprobe")
        check_counts(self, names, optional=("threads",))
        check_counts(self, ("seed",), least=0)
        check_ks(self.ks, self.items)
        check_code(self.bits, self.items, self.dim)
        advice = "leave it out of bench.indexes or take fewer items"
        for name, (_, size) in self.predicted().items():
            require_memory(int(size), f"{name}: {self.items:,} items of {self.dim} floats", advice)
        if self.rows_path is not None and "hybrid" in self.indexes:
            path = Path(self.rows_path)
            if path.exists():
                raise UsageError(f"bench.rows_path is {path}, which exists; give the path of a new file")
            require_disk(path, 2 * self.items * self.dim, f"the floats of {self.items:,} items")

    def run(self, report: Report) -> Outcome:
        """Makes the data and measures every index.

        Args:
            report: Called with the name of each step as it begins.

        Returns:
            One row per index as ``compare_indexes`` gives them; under ``details`` the times of ITQ.

        Raises:
            UsageError: As ``check``.
        """
        self.check()
        report("vectors, ITQ codes and the exact answers")
        data = SyntheticBlocks(self.dim, self.items, self.queries, seed=self.seed)
        chosen = self._sample(_ITQ_ROWS)
        binariser = ITQ(self.bits)
        _, fitted = once(lambda: binariser.fit(data.chosen_items(chosen)))
        queries = data.query_rows(0, self.searched)
        codes, encode_seconds, exact = self._pass(data, binariser, queries[: self.truth])
        query_codes, encoded = once(lambda: binariser.encode(queries, "queries").packed())
        rows = []
        for name in self.indexes:
            report(name)
            sought = queries if name in _FLOAT else query_codes
            blocks = (lambda: _blocks(data)) if name in _FLOAT else (lambda: iter([codes]))
            self._compile(name, data, codes)
            rows.append({"index": name} | self._measure(self._make(name), data, blocks, sought, exact))
            if name == "hybrid" and self.rows_path is not None:
                Path(self.rows_path).unlink()
        codes_took = {
            "itq_fit_seconds": fitted.seconds,
            "itq_items_seconds": encode_seconds,
            "itq_queries_cpu_seconds": encoded.cpu_seconds,
        }
        cost = 1e6 * encoded.cpu_seconds / len(queries)
        note = f"Codes: ITQ of {self.bits} bits; encoding a query takes {cost:.1f} µs of CPU time, not in the rows."
        table = cpu_table(rows, self.queries, self.items, self.ks, self.cores)
        return Outcome(rows, (table,), details=asdict(self) | codes_took, notes=(note,))

    def _make(self, name: str) -> Searcher:
        makers: dict[str, Callable[[], Searcher]] = {
            "flat": lambda: FaissSearch("Flat", "inner", threads=self.cores),
            "hnsw": lambda: FaissSearch("HNSW32", "inner", threads=self.cores),
            "binary_flat": lambda: FaissSearch("BFlat", bits=self.bits, threads=self.cores),
            "binary_ivf": lambda: FaissSearch(
                f"BIVF{max(1, min(self.lists, self.items // 39))}",
                bits=self.bits,
                search_params={"nprobe": self.nprobe},
                threads=self.cores,
            ),
            "popcount": lambda: PopcountSearch(self.bits, threads=self.cores),
            "hybrid": lambda: HybridSearch(
                "inner", candidates=max(100, *self.ks), rows="float16", rows_path=self.rows_path, threads=self.cores
            ),
        }
        return makers[name]()

    def _compile(self, name: str, data: SyntheticBlocks, codes: np.ndarray) -> None:
        """Searches a small index of the same kind, so that no compilation is measured."""
        if name == "popcount":
            small: Searcher = PopcountSearch(self.bits)
            small.add(codes[:_COMPILED])
            small.search(codes[:_COMPILED], 1)
        elif name == "hybrid":  # given codes of its length are scanned as its own are, whose ITQ would be trained first
            rows = data.item_rows(0, _COMPILED)
            bits = min(HybridSearch().bits, min(self.items, self.dim) // 8 * 8)
            given = HashCodes.from_bits(rows[:, :bits] > 0)
            few = HybridSearch("inner", bits=8, rows="float16", threads=1)
            few.add(rows, given)
            few.search(rows[:1], 1, given[:1])

    def _sample(self, count: int) -> np.ndarray:
        return np.sort(np.random.default_rng(self.seed).permutation(self.items)[:count])

    def _pass(self, data: SyntheticBlocks, binariser: ITQ, queries: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
        """One pass over the items: their codes, the seconds that encoding took, and the exact nearest items."""
        codes = np.empty((self.items, self.bits // 8), np.uint8)
        truth, seconds, start = StreamedTruth(queries, max(self.ks)), 0.0, 0
        for block in _blocks(data):
            encoded, time = once(partial(binariser.encode, block))
            codes[start : start + len(block)] = encoded.packed()
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
        build.append(once(lambda: searcher.search(queries[:1], 1))[1])  # the first search puts the items in order
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
