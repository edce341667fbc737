"""``python -m fico.bench.popcount``: the exact Hamming search against FAISS and against what the processor can do.

Rates are pairs of query and code per second of processor time, medians of interleaved rounds, so that a busy machine
disturbs them little. ``limit`` is xor, popcount and comparison of codes in the first cache, with nothing kept; the
scan is not bound by it, since its adders count without a popcount. FAISS keeps the best in a heap or counts distances;
the table has the faster one. ``--memory`` compares the memory that a search takes with what is predicted.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from fico.bench.machine import PeakMemory
from fico.bench.popcount.limit import limit_call
from fico.bench.timing import Timing, once
from fico.errors import DataError
from fico.report.table.table import Cell, Column, Row, Table, text_cells
from fico.report.table.terminal import print_table
from fico.search.faiss_index import FaissSearch
from fico.search.hamming.popcount import PopcountSearch, predicted_bytes
from fico.types import Ranking
from fico.util.atomic import atomic_write
from fico.util.progress import track
from fico.util.units import bytes_text, percent_text

_LIMIT_PAIRS = 10**9


@dataclass(frozen=True, slots=True)
class PopcountRow:
    """One code length and one k.

    Args:
        bits: Code length.
        items: Codes.
        queries: Queries.
        k: Items per query.
        ours: 10^9 pairs per second of one core.
        faiss: The same of ``IndexBinaryFlat``, the faster of its two ways.
        limit: The same of the bare instructions.
        threads_work: Pairs per second of processor time on two threads, relative to one: what two free cores give, / 2.
        threads_wall: Wall-clock speed of two threads relative to one, median; other work on the machine lowers it.
        threads_spread: Lowest and highest of it.
    """

    bits: int
    items: int
    queries: int
    k: int
    ours: float
    faiss: float
    limit: float
    threads_work: float
    threads_wall: float
    threads_spread: tuple[float, float]


def measure(bits: int, items: int, queries: int, ks: Sequence[int], repeats: int, seed: int = 5) -> list[PopcountRow]:
    """Measures random codes of one length.

    Args:
        bits: Code length.
        items: Codes.
        queries: Queries.
        ks: Cut-offs.
        repeats: Rounds; each has every entry once.
        seed: Of the codes.

    Raises:
        DataError: The distances differ from FAISS's: a bug of this library.
    """
    generator = np.random.default_rng(seed)
    codes, query_codes = (generator.integers(0, 256, (rows, bits // 8), dtype=np.uint8) for rows in (items, queries))
    one, two = PopcountSearch(bits, threads=1), PopcountSearch(bits, threads=2)
    heap, counting = (
        FaissSearch("BFlat", bits=bits, threads=1, search_params={"use_heap": use_heap}) for use_heap in (True, False)
    )
    for searcher in (one, two, heap, counting):
        searcher.add(codes)
    limit, limit_pairs = limit_call(bits, _LIMIT_PAIRS * 64 // bits)
    rows = []
    for k in ks:
        calls: dict[str, Callable[[], Ranking | int]] = {
            "one": partial(one.search, query_codes, k),
            "two": partial(two.search, query_codes, k),
            "faiss": partial(heap.search, query_codes, k),
            "faiss counting": partial(counting.search, query_codes, k),
            "limit": limit,
        }
        _check(calls)
        times = _interleaved(calls, repeats)
        cpu = {name: statistics.median(run.cpu_seconds for run in runs) for name, runs in times.items()}
        walls = [a.seconds / b.seconds for a, b in zip(times["one"], times["two"], strict=True)]
        pairs = items * queries / 1e9
        faiss = min(cpu["faiss"], cpu["faiss counting"])
        rates = pairs / cpu["one"], pairs / faiss, limit_pairs / 1e9 / cpu["limit"]
        spread = (min(walls), max(walls))
        rows.append(
            PopcountRow(bits, items, queries, k, *rates, cpu["one"] / cpu["two"], statistics.median(walls), spread)
        )
    return rows


def _check(calls: Mapping[str, Callable[[], Ranking | int]]) -> None:
    """Compiles and warms up, and compares the results."""
    found = {name: call() for name, call in calls.items()}
    ours, two, faiss = found["one"], found["two"], found["faiss"]
    assert isinstance(ours, Ranking)
    assert isinstance(two, Ranking)
    assert isinstance(faiss, Ranking)
    same = np.array_equal(ours.indices, two.indices) and np.array_equal(ours.scores, faiss.scores)
    if not same:
        raise DataError("the popcount search and FAISS disagree about distances; report this with the command you gave")


def _interleaved(calls: Mapping[str, Callable[[], Ranking | int]], repeats: int) -> dict[str, list[Timing]]:
    times: dict[str, list[Timing]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            times[name].append(once(call)[1])
    return times


def rates_table(rows: Sequence[PopcountRow]) -> Table:
    """One row for each code length and k."""
    numbers = ("items", "k", "popcount", "FAISS\nBFlat", "times\nFAISS", "limit", "of limit\n%", "2 threads\nwall")
    columns = (Column("bits"), *map(Column, numbers), Column("2 threads\nwork"))
    title = "Exact Hamming search, 10^9 pairs per second of one core"
    return Table("popcount", title, columns, tuple(map(_table_row, rows)))


def _table_row(row: PopcountRow) -> Row:
    low, high = row.threads_spread
    counts = str(row.bits), f"{row.items:,}", str(row.k)
    rates = f"{row.ours:.2f}", f"{row.faiss:.2f}", f"{row.ours / row.faiss:.1f}", f"{row.limit:.2f}"
    wall = Cell(f"{row.threads_wall:.2f}", f"{low:.2f}–{high:.2f}")
    reached = percent_text(row.ours / row.limit, 0)
    return Row((*text_cells(*counts, *rates, reached), wall, Cell(f"{row.threads_work:.2f}")))


def measure_memory(items: int, queries: int, k: int, threads: int, bits: int = 64, seed: int = 5) -> tuple[int, int]:
    """Memory of a search in addition to the codes, measured and predicted by `predicted_bytes`.

    Args:
        items: Codes.
        queries: Queries.
        k: Items per query.
        threads: Cores.
        bits: Code length.
        seed: Of the codes.

    Returns:
        Most bytes by which the process grew from before the index was made, and the prediction.
    """
    generator = np.random.default_rng(seed)
    codes, query_codes = (generator.integers(0, 256, (rows, bits // 8), dtype=np.uint8) for rows in (items, queries))
    warm = PopcountSearch(bits, threads)
    warm.add(codes[:1000])
    warm.search(query_codes, 1)  # compiles, and starts the threads
    with PeakMemory() as memory:
        searcher = PopcountSearch(bits, threads)
        searcher.add(codes)
        searcher.search(query_codes, k)
    return memory.grown_bytes, predicted_bytes(items, bits, queries, k, threads)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command.

    Args:
        arguments: Of the command line. None: those of the process.
    """
    parser = argparse.ArgumentParser("python -m fico.bench.popcount", description=__doc__)
    parser.add_argument("--items", type=int, default=5_000_000, help="codes of 64 bits; of wider ones fewer")
    parser.add_argument("--queries", type=int, default=512)
    parser.add_argument("--bits", default="64,128,256,512", help="comma-separated")
    parser.add_argument("--k", default="10,100,1000", help="comma-separated")
    parser.add_argument("--repeats", type=int, default=5, help="interleaved rounds")
    parser.add_argument("--out", type=Path, help="JSON file for the rows")
    parser.add_argument("--memory", action="store_true", help="memory of 10,000 queries, k = 100, instead of the rates")
    options = parser.parse_args(arguments)
    if options.memory:
        taken, predicted = measure_memory(options.items, 10_000, 100, threads=1)
        sizes = f"{bytes_text(taken)}, predicted {bytes_text(predicted)}"
        sys.stdout.write(f"{options.items:,} codes of 64 bits, 10,000 queries, k = 100: {sizes}\n")
        return
    lengths, ks = ([int(part) for part in text.split(",")] for text in (options.bits, options.k))
    rows: list[PopcountRow] = []
    for bits in track(lengths, len(lengths), "code lengths"):
        rows += measure(bits, options.items * 64 // bits, options.queries, ks, options.repeats)
    print_table(rates_table(rows))
    if options.out is not None:
        with atomic_write(options.out) as path:
            path.write_text(json.dumps([asdict(row) for row in rows], indent=1))
