"""Table 7 of the paper on one GPU: every query searched, floats and codes exactly, and coarse to fine."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from fico.bench.checks import check_code, check_counts, check_ks, check_names
from fico.bench.machine import conditions
from fico.bench.outcome import Outcome, Report
from fico.bench.synthetic import SyntheticBlocks
from fico.bench.table7.device_limits import DeviceLimits, measure, peak_bytes
from fico.bench.table7.tables import gpu_table
from fico.bench.timing import Timing, once, timed
from fico.bench.truth import StreamedTruth, recalls_by_item
from fico.errors import UsageError
from fico.search.base import Searcher
from fico.search.exact import ExactSearch
from fico.search.gpu.device import check_device, require_device_memory
from fico.search.hamming.popcount import PopcountSearch
from fico.search.hybrid.hybrid import HybridSearch
from fico.search.itq import ITQ

INDEXES = ("flat", "popcount", "hybrid")
_PAIRS = 2**27  # of one product of the exact answers
_LIST_ROWS = 100_000
_WARM_UP = 20_000  # queries
_COMPILED = 70_000  # items of an index that is built to compile what searches it


@dataclass(frozen=True, slots=True)
class Table7Gpu:
    """What to measure. The paper's sizes are 100K queries of 500K items, 500K of 2.5M and 1M of 5M.

    Args:
        queries: Queries, all of which are searched; vectors lie on the device, results go to memory.
        items: Items.
        dim: Numbers in a vector.
        bits: Code length of ``popcount``.
        hybrid_bits: Code length of ``hybrid``.
        candidates: Codes whose floats ``hybrid`` compares. None: the largest k.
        seed: Of the data.
        indexes: Which of ``INDEXES``.
        ks: Cut-offs.
        truth: Queries, the first ones, for which the exact answer is computed, in single precision.
        device: As torch names it.
    """

    queries: int = 100_000
    items: int = 500_000
    dim: int = 2048
    bits: int = 64
    hybrid_bits: int = 256
    candidates: int | None = None
    seed: int = 1338
    indexes: Sequence[str] = INDEXES
    ks: Sequence[int] = (1, 100, 1000)
    truth: int = 500
    device: str = "cuda"

    def predicted(self) -> dict[str, tuple[float, float]]:
        """Seconds and bytes on the device of each step, from rates of one H200; a smaller GPU takes longer."""
        pairs, number = self.queries * self.items, 4 * self.dim
        floats = number * (self.items + self.queries)
        tile = 8 * 2**30
        costs = {
            "truth": (self.items * number / 1e10 + min(self.truth, self.queries) * self.items / 1e8, floats + tile),
            "flat": (pairs * 2 * self.dim / 5e14, floats + number * self.items * 1.5 + tile),
            "popcount": (pairs / 1.5e12, floats + self.items * (self.bits + self.bits / 4) + tile),
            "hybrid": (pairs / 7e11, floats + self.items * (number / 2 + 1.25 * self.hybrid_bits) + tile),
        }
        return {name: cost for name, cost in costs.items() if name == "truth" or name in self.indexes}

    def check(self) -> None:
        """Refuses what is out of range, a device that is not there and what it cannot hold.

        Raises:
            UsageError: The key or the predicted size is named.
        """
        check_names(self.indexes, INDEXES)
        names = ("queries", "items", "dim", "bits", "hybrid_bits", "truth")
        check_counts(self, names, optional=("candidates",))
        check_counts(self, ("seed",), least=0)
        check_ks(self.ks, self.items)
        if "popcount" in self.indexes:
            check_code(self.bits, self.items, self.dim)
        if "hybrid" in self.indexes:
            check_code(self.hybrid_bits, self.items, self.dim, "bench.hybrid_bits")
            if self.hybrid_bits > 512:
                raise UsageError(
                    f"bench.hybrid_bits is {self.hybrid_bits}; codes that choose candidates have up to 512"
                )
        if self._candidates < max(self.ks):
            raise UsageError(f"bench.candidates is {self.candidates}, but the largest of bench.ks is {max(self.ks)}")
        _check_gpu(self.device)
        for name, (_, size) in self.predicted().items():
            require_device_memory(self.device, int(size), f"{name} with {self.items:,} items of {self.dim} floats")

    @property
    def _candidates(self) -> int:
        return self.candidates or max(self.ks)

    def run(self, report: Report) -> Outcome:
        """Makes the data on the device and measures every index.

        Args:
            report: Called with the name of each step as it begins.

        Returns:
            One row per index as ``Table7`` gives them, and the fraction of the roofline that it reaches.

        Raises:
            UsageError: As ``check``.
        """
        self.check()
        report("what the device can do")
        limits = measure(self.device)
        report("vectors and the exact answers")
        data = SyntheticBlocks(self.dim, self.items, self.queries, seed=self.seed)
        items, queries = data.items_on(self.device), data.queries_on(self.device)
        truth = StreamedTruth(queries[: self.truth], max(self.ks))
        block = max(max(self.ks), _PAIRS // self.truth)
        for start in range(0, self.items, block):
            truth.add(items[start : start + block])
        torch.cuda.empty_cache()
        rows = []
        for name in self.indexes:
            report(name)
            self._compile(name)
            built = self._built(name, items, queries)
            rows.append({"index": name} | self._row(name, built, truth.ranking.indices, limits))
            del built
            torch.cuda.empty_cache()
        details = asdict(self) | {
            "half_operations_per_second": limits.half,
            "byte_operations_per_second": limits.bytes_,
            "copied_bytes_per_second": limits.copied,
        }
        return Outcome(rows, (gpu_table(rows, self.queries, self.items, self.ks),), details=details)

    def _compile(self, name: str) -> None:
        """Searches a small index of the same kind, so that no compilation is measured."""
        searcher, width = self._searchers()[name], {"flat": 64, "popcount": self.bits, "hybrid": self.hybrid_bits}[name]
        rows = torch.randn(_COMPILED, width, device=self.device)
        items = rows if name != "popcount" else (rows > 0).cpu()
        searcher.add(items)
        searcher.search(items[:1], min(max(self.ks), len(rows)))

    def _searchers(self) -> dict[str, Searcher]:
        """Empty indexes."""
        return {
            "flat": ExactSearch("inner", device=self.device),
            "popcount": PopcountSearch(self.bits, device=self.device),
            "hybrid": HybridSearch(
                "inner", self.hybrid_bits, candidates=self._candidates, rows="float16", device=self.device
            ),
        }

    def _built(self, name: str, items: Tensor, queries: Tensor) -> "_BuiltIndex":
        """The built index, its queries, and the time of building and encoding."""
        searcher = self._searchers()[name]
        if name == "flat":
            return _BuiltIndex(searcher, lambda: queries, [self._timed(partial(searcher.add, items))])
        if isinstance(searcher, HybridSearch):
            fitting = self._timed(partial(searcher.fit, items[:_LIST_ROWS]))
            return _BuiltIndex(searcher, lambda: queries, [fitting, self._timed(partial(searcher.add, items))])
        binariser = ITQ(self.bits)
        fitting = self._timed(lambda: binariser.fit(items[:_LIST_ROWS].cpu()))
        adding = self._timed(lambda: searcher.add(binariser.encode(items)))
        return _BuiltIndex(searcher, lambda: binariser.encode(queries, "queries"), [fitting, adding])

    def _timed(self, call: Callable[[], object]) -> Timing:
        """Times a call until the device is idle."""

        def done() -> None:
            call()
            if self.device != "cpu":
                torch.cuda.synchronize(self.device)

        return once(done)[1]

    def _row(self, name: str, built: "_BuiltIndex", exact: Any, limits: DeviceLimits) -> dict[str, Any]:
        k = max(self.ks)
        # The first search puts the items in order.
        build = [*built.build, self._timed(lambda: built.searcher.search(built.queries()[:1], k))]
        queries, encoding = once(built.queries)
        built.searcher.search(queries[:_WARM_UP], k)
        found, search = timed(lambda: built.searcher.search(queries, k), repeats=3, budget_seconds=20, warm_up=False)
        top1, overlap = recalls_by_item(found, exact, self.ks)
        return {
            "settings": built.searcher.name,
            "queries": self.queries,
            "all_queries": self.queries,
            "items": self.items,
            "k": k,
            "build_seconds": sum(time.seconds for time in build),
            "build_cpu_seconds": sum(time.cpu_seconds for time in build),
            "encode_seconds": encoding.seconds,
            "search_seconds": search.seconds,
            "search_cpu_seconds": search.cpu_seconds,
            "search_spread_seconds": search.spread_seconds,
            "all_queries_seconds": search.seconds,
            "repeats": search.repeats,
            "threads": 1,
            "index_bytes": built.searcher.size_bytes,
            "recall_queries": len(exact),
            "top1_in_k": top1,
            "overlap_at_k": overlap,
            "device_peak_bytes": peak_bytes(self.device),
            "roofline_seconds": self._least_seconds(limits)[name],
            "gpu": torch.cuda.get_device_name(self.device),
        } | conditions()

    def _least_seconds(self, limits: DeviceLimits) -> Mapping[str, float]:
        """What the products, and the reading of the candidates' floats, must take at the rates of the device."""
        pairs = self.queries * self.items
        read = self.queries * self._candidates * 2 * self.dim / limits.copied
        return {
            "flat": 2 * self.dim * pairs / limits.half,
            "popcount": 2 * self.bits * pairs / limits.bytes_,
            "hybrid": 2 * self.hybrid_bits * pairs / limits.bytes_ + read,
        }


def _check_gpu(device: str) -> None:
    check_device(device)
    if device == "cpu":
        raise UsageError("bench.device is cpu, but this is the bench of a GPU; give cuda, or take experiment=table7")


@dataclass(frozen=True, slots=True)
class _BuiltIndex:
    searcher: Searcher
    queries: Callable[[], Any]
    build: Sequence[Timing]
