"""Runs the steps one after the other, each in the folder in which it goes on."""

import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from fico.cli.reproduce.plan import Step
from fico.errors import FicoError, UsageError
from fico.report.results.schema import RESULTS
from fico.util.units import seconds_text

CHECKOUT = Path(__file__).resolve().parents[3]
INTERRUPTED = (-2, -15, 130, 143)


def reproduce(
    steps: Sequence[Step], out: Path, *, budget: float | None, overrides: Sequence[str], say: Callable[[str], None]
) -> tuple[list[Path], list[str]]:
    """Take the steps; a finished run is kept, and an interrupted one goes on.

    Args:
        steps: The quickest first.
        out: Folder of the runs.
        budget: Seconds; a step whose predicted time, scaled by what the steps before it took, is more than is left of
            it is left out. None: all steps.
        overrides: Further ones for every run, such as ``trainer=gpu``.
        say: Takes a line of progress.

    Returns:
        Folders of the finished runs, and a line for each step that was left out or failed.

    Raises:
        UsageError: There is no ``run.py``: the command needs a checkout.
        FicoError: No step could be finished.
        KeyboardInterrupt: A run was interrupted.
    """
    if not (CHECKOUT / "run.py").is_file():
        raise UsageError("fico reproduce starts run.py, which only a checkout of the project has; clone it")
    finished: list[Path] = []
    problems: list[str] = []
    factors = [1.0]
    begin = time.monotonic()
    for number, step in enumerate(steps, start=1):
        folder, expected = out / step.folder, step.predicted * statistics.median(factors)
        is_there = (folder / RESULTS).exists()
        if budget is not None and not is_there and time.monotonic() - begin + expected > budget:
            problems.append(f"{step.name}: left out; about {seconds_text(expected)} is more than is left of the budget")
            continue
        say(f"{number} of {len(steps)}: {step.name}, " + ("finished before" if is_there else seconds_text(expected)))
        started = time.monotonic()
        command = [sys.executable, str(CHECKOUT / "run.py"), *step.overrides, *overrides, f"hydra.run.dir={folder}"]
        code = subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode
        if code in INTERRUPTED:
            raise KeyboardInterrupt
        if code:
            problems.append(f"{step.name}: failed with exit code {code}: {shlex.join(command)}")
            continue
        finished.append(folder)
        if not is_there:
            factors.append((time.monotonic() - started) / step.predicted)
    if not finished:
        raise FicoError(f"nothing could be measured: {'; '.join(problems)}")
    return finished, problems
