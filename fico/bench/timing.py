"""Times of a call: warmed up, repeated, wall clock and CPU time."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Timing:
    """Medians over the repeats.

    Args:
        seconds: Wall clock.
        cpu_seconds: Processor time of all threads of this process; steadier on a shared machine.
        spread_seconds: Slowest minus fastest wall-clock time.
        repeats: How often the call was timed.
    """

    seconds: float
    cpu_seconds: float
    spread_seconds: float
    repeats: int


def threads_text(count: int) -> str:
    """``1 thread``, ``2 threads``."""
    return f"{count} thread{'s' if count > 1 else ''}"


def once(call: Callable[[], Result]) -> tuple[Result, Timing]:
    """Runs a call that cannot be repeated (a build) and times it."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    return result, Timing(time.perf_counter() - wall, time.process_time() - cpu, 0.0, 1)


def timed(
    call: Callable[[], Result], *, repeats: int = 5, budget_seconds: float = 2.0, warm_up: bool = True
) -> tuple[Result, Timing]:
    """Times a call.

    Args:
        call: What to time; it must leave the device idle when it returns.
        repeats: Most runs that are timed.
        budget_seconds: No further run begins once warm-up and runs have taken so long; one is always timed.
        warm_up: Run once untimed, so that compilation and cold caches do not count.

    Returns:
        The last result, and the medians.
    """
    begin = time.perf_counter()
    if warm_up:
        call()
    runs: list[Timing] = []
    while not runs or (len(runs) < repeats and time.perf_counter() - begin < budget_seconds):
        result, run = once(call)
        runs.append(run)
    walls = [run.seconds for run in runs]
    cpu = statistics.median(run.cpu_seconds for run in runs)
    return result, Timing(statistics.median(walls), cpu, max(walls) - min(walls), len(runs))
