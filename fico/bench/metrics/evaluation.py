"""``python -m fico.bench.metrics``: the evaluation engine against other libraries, on the same data in one process.

Every entry computes similarity, R@1/5/10 and mAP@10/100/N in both directions where its library can; the engine gives
all its metrics, chance levels and bootstrap intervals. ``limit`` is the least that a full evaluation of
floats must do on the CPU: two matrix products, one sort of all values and one comparison of each; the roofline is what
the necessary operations and bytes take at the rates that the device was measured to reach. Libraries that are not
installed are named. ``--device cuda`` runs the engine there, and the peers that can; ``--targets`` measures the engine
alone at the sizes that have a target time; ``--operations`` counts the torch operations that a device would launch.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
import torch
from rich.console import Console

from fico.bench.machine import PeakMemory
from fico.bench.metrics.operations import count_operations, operations_table
from fico.bench.metrics.peers import ON_DEVICE, PEERS, Problem
from fico.bench.metrics.roofline import measure_rates, necessary
from fico.bench.metrics.targets import measure_targets, targets_table
from fico.bench.timing import Timing, once, timed
from fico.correspondence import Correspondence
from fico.evaluation.evaluate import evaluate
from fico.evaluation.option_checks import Engine
from fico.evaluation.result import RetrievalResult
from fico.metrics.kernels.floats import count_above
from fico.report.table.markdown import as_markdown
from fico.report.table.table import Column, Row, Table, text_cells

SIZES = {"1k": (1_000, 5_000), "5k": (5_000, 25_000), "100k": (100_000, 500_000)}


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measurement.

    Args:
        work: ``float``, ``codes`` or ``R@K``, with the numbers of images and captions.
        name: Library.
        timing: Seconds, medians.
        extra_bytes: Most memory of the CPU beyond what the process held before.
        roofline: Least seconds at the device's rates.
    """

    work: str
    name: str
    timing: Timing
    extra_bytes: int
    roofline: float


def problem(images: int, captions: int, dim: int, bits: int, seed: int = 3) -> Problem:
    """Captions near their image, and 80 labels, with a pair relevant in about a third of all cases."""
    generator = np.random.default_rng(seed)
    pairs = np.repeat(np.arange(images), captions // images)
    first = generator.standard_normal((images, dim), dtype=np.float32)
    second = first[pairs] + 1.5 * generator.standard_normal((captions, dim), dtype=np.float32)
    labels = generator.random((images, 80)) < 0.036 * 2
    plane = generator.standard_normal((dim, bits), dtype=np.float32)
    codes = tuple(np.where(side @ plane > 0, 1, -1).astype(np.int8) for side in (first, second))
    return Problem(first, second, codes[0], codes[1], pairs, labels)


def engine(data: Problem, work: str, device: str = "cpu", kind: Engine = "auto") -> Callable[[], RetrievalResult]:
    """The full evaluation of this library, or its instance metrics alone."""
    pairs = Correspondence(data.pairs)
    sides = [
        torch.from_numpy(side).to(device)
        for side in ((data.image_codes, data.text_codes) if work == "codes" else (data.images, data.texts))
    ]
    return lambda: evaluate(
        sides[0], sides[1], pairs, labels=None if work == "R@K" else data.labels,
        similarity="hamming" if work == "codes" else "cosine", device=device, engine=kind,
    )  # fmt: skip


def limit(data: Problem) -> Callable[[], object]:
    """Two products, a sort and a comparison of all values, by blocks of queries."""

    def run() -> int:
        seen = 0
        for queries, items in ((data.images, data.texts), (data.texts, data.images)):
            step = max(64, 2**22 // len(items))
            for start in range(0, len(queries), step):
                scores = queries[start : start + step] @ items.T
                seen += sum(count_above(row, row[0])[0] for row in scores)
                scores.sort(axis=1)
        return seen

    return run


def measure(call: Callable[[], object], repeats: int, budget_seconds: float) -> tuple[Timing, int]:
    """Times a call and watches the memory of the process while it runs."""
    with PeakMemory() as memory:
        _, timing = once(call)  # warms up, and is the only run of what takes longer than the budget
        if timing.seconds < budget_seconds:
            _, timing = timed(call, repeats=repeats, budget_seconds=budget_seconds, warm_up=False)
    return timing, memory.grown_bytes


def run(
    size: str,
    peers: Sequence[str],
    repeats: int,
    budget_seconds: float,
    console: Console,
    device: str = "cpu",
    kind: Engine = "auto",
) -> list[Measurement]:
    """Measures the engine, the limit and the installed peers at one size."""
    images, captions = SIZES[size]
    data, rows, rates = replace(problem(images, captions, 256, 64), device=device), [], measure_rates(device)
    console.print(f"{device}: {rates.flops / 1e12:.3g} TFLOP/s in float32, {rates.bytes / 1e9:.3g} GB/s")
    for work in ("R@K",) if size == "100k" else ("float", "codes"):
        calls: dict[str, Callable[[], object]] = {"fico": engine(data, work, device, kind)}
        calls |= {"limit": limit(data)} if work == "float" and device == "cpu" else {}
        least = necessary(work, images, captions, 64 if work == "codes" else 256).seconds(rates)
        for peer in peers:
            maker, sizes, works = PEERS[peer]
            if size in sizes and work in works:
                try:
                    calls[peer] = maker(data, work)
                except ImportError as error:
                    console.print(f"{peer} skipped: {error}")
        for name, call in calls.items():
            console.print(f"{size} {work}: {name}")
            try:
                timing, extra = measure(call, repeats, budget_seconds)
            except Exception as error:
                if name not in PEERS:
                    raise
                console.print(f"{name} failed: {type(error).__name__}: {error}")  # costs its row alone
                continue
            place = "" if device == "cpu" or name in ("fico", *ON_DEVICE) else " (CPU)"
            rows.append(Measurement(f"{work} {images:,}/{captions:,}", name + place, timing, extra, least))
    return rows


def comparison_table(rows: Sequence[Measurement]) -> Table:
    """Times and memory of each library, with the ratio to this one."""
    numbers = ("seconds", "CPU s", "times fico", "of the roofline, %", "extra MiB")
    columns = (Column("work", is_text=True), Column("library", is_text=True), *map(Column, numbers))
    ours = {row.work: row.timing.seconds for row in rows if row.name == "fico"}
    cells = (
        text_cells(
            row.work,
            row.name,
            f"{row.timing.seconds:.3g}",
            f"{row.timing.cpu_seconds:.3g}",
            f"{row.timing.seconds / ours[row.work]:.2f}",
            f"{100 * row.roofline / row.timing.seconds:.2g}",
            f"{row.extra_bytes / 2**20:.0f}",
        )
        for row in rows
    )
    return Table("evaluation", "Full evaluation in one process", columns, tuple(map(Row, cells)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command.

    Args:
        arguments: Of the command line. None: those of the process.
    """
    parser = argparse.ArgumentParser(prog="python -m fico.bench.metrics", description=__doc__)
    parser.add_argument("--sizes", nargs="+", choices=tuple(SIZES), default=["1k", "5k"])
    parser.add_argument("--peers", nargs="*", choices=tuple(PEERS), default=list(PEERS))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--budget-seconds", type=float, default=30.0, help="no repeat begins later than this")
    parser.add_argument("--device", default="cpu", help="where the engine runs, and the peers that can")
    parser.add_argument("--engine", choices=get_args(Engine), default="auto")
    parser.add_argument("--operations", action="store_true", help="count the torch operations, and time nothing")
    parser.add_argument("--targets", action="store_true", help="time the engine at the sizes that have a target")
    parser.add_argument("--scale", type=int, default=1, help="divides images and captions of the targets")
    options = parser.parse_args(arguments)
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error(f"--device {options.device} needs a CUDA device, and torch finds none; give --device cpu")
    torch.set_num_threads(options.threads)
    console, begin = Console(stderr=True), time.perf_counter()
    if options.operations:
        counted = [
            count_operations(problem, work, *SIZES[size]) for size in options.sizes if size != "100k"
            for work in ("float", "codes")
        ]  # fmt: skip
        sys.stdout.write(as_markdown(operations_table(counted)))
        return
    if options.targets:
        reached, rates = [], measure_rates(options.device)
        for row in measure_targets(
            problem, engine, options.device, options.engine, rates, options.repeats, options.scale
        ):  # fmt: skip
            console.print(f"{row.target.work} {row.target.images:,}/{row.target.captions:,}: {row.seconds:.3g} s")
            reached.append(row)
        sys.stdout.write(as_markdown(targets_table(reached, options.device)))
        return
    rows = [
        row for size in options.sizes
        for row in run(
            size, options.peers, options.repeats, options.budget_seconds, console, options.device, options.engine
        )
    ]  # fmt: skip
    sys.stdout.write(as_markdown(comparison_table(rows)))
    console.print(f"{options.threads} threads, {time.perf_counter() - begin:.0f} s in all")
