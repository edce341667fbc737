"""Times and memory that an evaluation on one GPU should reach, measured in one go: ``--targets``."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from fico.bench.machine import PeakMemory
from fico.bench.metrics.peers import Problem
from fico.bench.metrics.roofline import Rates, necessary
from fico.bench.timing import timed
from fico.evaluation.option_checks import Engine
from fico.report.table.table import Column, Row, Table, text_cells

Make = Callable[[int, int, int, int], Problem]
Evaluate = Callable[[Problem, str, str, Engine], Callable[[], Any]]
_FIRST_CALL = """
import time
from fico.bench.metrics.evaluation import engine, problem
call = engine(problem({images}, {captions}, {dim}, 64), "float", {device!r}, {kind!r})
begin = time.perf_counter()
call()
print(time.perf_counter() - begin)
"""


@dataclass(frozen=True, slots=True)
class Target:
    """One evaluation with all metrics and intervals, both directions.

    Args:
        work: ``float``, ``codes`` or ``first call``.
        images: Number of images.
        captions: Number of captions.
        dim: Width of the embeddings or length of the codes.
        seconds: Most that it should take on one H200.
    """

    work: str
    images: int
    captions: int
    dim: int
    seconds: float


TARGETS = (
    Target("float", 1_000, 5_000, 1024, 0.03),
    Target("float", 5_000, 25_000, 1024, 0.10),
    Target("codes", 5_000, 25_000, 64, 0.05),
    Target("first call", 1_000, 5_000, 1024, 3.0),
    Target("float", 100_000, 500_000, 256, 60.0),
)


@dataclass(frozen=True, slots=True)
class Reached:
    """What a target's evaluation took.

    Args:
        target: The target, its sizes divided by the scale.
        seconds: Median wall clock.
        roofline: Least seconds at the device's rates.
        peak_bytes: Most memory beyond the inputs.
    """

    target: Target
    seconds: float
    roofline: float
    peak_bytes: int


def measure_targets(
    make: Make, engine: Evaluate, device: str, kind: Engine, rates: Rates, repeats: int, scale: int = 1
) -> Iterator[Reached]:
    """Measures each target, with images and captions divided by ``scale``."""
    for target in TARGETS:
        images, captions = target.images // scale, target.captions // scale
        known = Target(target.work, images, captions, target.dim, target.seconds)
        work = "codes" if target.work == "codes" else "float"
        least = necessary(work, images, captions, target.dim).seconds(rates)
        if target.work == "first call":
            yield Reached(known, _first_call(known, device, kind), least, 0)
            continue
        call = engine(make(images, captions, target.dim, 64), work, device, kind)
        with _Peak(device) as peak:
            _, timing = timed(call, repeats=repeats, budget_seconds=60)
        yield Reached(known, timing.seconds, least, peak.grown_bytes)


def targets_table(rows: Sequence[Reached], device: str) -> Table:
    """Targets beside what was measured."""
    names = ("images / captions", "width", "target, s", "measured, s", "roofline, s", "peak MiB")
    cells = (
        text_cells(
            row.target.work,
            f"{row.target.images:,} / {row.target.captions:,}",
            str(row.target.dim),
            f"{row.target.seconds:g}",
            f"{row.seconds:.3g}",
            f"{row.roofline:.2g}",
            f"{row.peak_bytes / 2**20:.0f}" if row.peak_bytes else "–",
        )
        for row in rows
    )
    columns = (Column("work", is_text=True), *map(Column, names))
    return Table("targets", f"Evaluation with all metrics and intervals on {device}", columns, tuple(map(Row, cells)))


class _Peak(PeakMemory):
    """As ``PeakMemory``, on a GPU by torch's own count."""

    def __init__(self, device: str) -> None:
        self._cuda = device if torch.device(device).type == "cuda" else None
        if self._cuda:
            torch.cuda.reset_peak_memory_stats(device)
            self._before = torch.cuda.memory_allocated(device)

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        if self._cuda:
            self.grown_bytes = torch.cuda.max_memory_allocated(self._cuda) - self._before


def _first_call(target: Target, device: str, kind: Engine) -> float:
    """Seconds of the first evaluation of a fresh process, after its imports."""
    code = _FIRST_CALL.format(images=target.images, captions=target.captions, dim=target.dim, device=device, kind=kind)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])
