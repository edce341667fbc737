"""Runs the steps one after the other, each in the folder in which it goes on."""

import shlex
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from fico.cli.reproduce.plan import Step
from fico.errors import FicoError, UsageError
from fico.report.results.schema import RESULTS
from fico.util.locks.folder_lock import is_locked
from fico.util.units import seconds_text

CHECKOUT = Path(__file__).resolve().parents[3]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(FicoError):
    """A signal ended the command, and the run with it."""

    def __init__(self, number: int) -> None:
        super().__init__(
            f"interrupted by {signal.Signals(number).name}; the same command goes on from there, finished runs are kept"
        )
        self.exit_code = 128 + number


def reproduce(
    steps: Sequence[Step], out: Path, *, budget: float | None, say: Callable[[str], None]
) -> tuple[list[Path], list[str]]:
    """Take the steps; a finished run is kept, and an interrupted one goes on.

    Args:
        steps: The quickest first.
        out: Folder of the runs.
        budget: Seconds; a step whose predicted time, scaled by what the steps before it took, is more than is left of
            it is left out. None: all steps.
        say: Takes a line of progress.

    Returns:
        Folders of the finished runs, and a line for each step that was left out or failed.

    Raises:
        UsageError: There is no ``run.py``: the command needs a checkout.
        FicoError: No step could be finished.
        Interrupted: This process got a signal, or the run did.
    """
    if not (CHECKOUT / "run.py").is_file():
        raise UsageError("fico reproduce starts run.py, which only a checkout of the project has; clone it")
    finished: list[Path] = []
    problems: list[str] = []
    factors = [1.0]
    begin = time.monotonic()
    for position, step in enumerate(steps, start=1):
        folder, expected = out / step.folder, step.predicted * statistics.median(factors)
        is_there = (folder / RESULTS).exists()
        if budget is not None and not is_there and time.monotonic() - begin + expected > budget:
            problems.append(f"{step.name}: left out; about {seconds_text(expected)} is more than is left of the budget")
            continue
        said = "finished before; measured again only if its inputs differ" if is_there else seconds_text(expected)
        say(f"{position} of {len(steps)}: {step.name}, {said}")
        folder.mkdir(parents=True, exist_ok=True)  # run.py takes a comma for one of a path where that is there
        _wait_for(folder, say)
        started = time.monotonic()
        command = [sys.executable, str(CHECKOUT / "run.py"), *step.overrides, f"hydra.run.dir={folder}"]
        code = run_to_its_end(command)
        if (number := _signal_of(code)) in SIGNALS:
            raise Interrupted(number)
        if code:
            problems.append(f"{step.name}: failed with exit code {code}: {shlex.join(command)}")
            continue
        finished.append(folder)
        if not is_there:
            factors.append((time.monotonic() - started) / step.predicted)
    if not finished:
        raise FicoError(f"nothing could be measured: {'; '.join(problems)}")
    return finished, problems


def run_to_its_end(command: Sequence[str]) -> int:
    """Start a process, hand on the signals that end this one, and return its exit code."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    with _handed_on(process):
        return process.wait()


@contextmanager
def _handed_on(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Signals go to the process, whose end they are; in a session of its own it gets none from the terminal."""

    def hand_on(number: int, frame: FrameType | None) -> None:
        process.send_signal(number)

    before = {number: signal.signal(number, hand_on) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _signal_of(code: int) -> int:
    """The signal that an exit code tells of, by the shell's convention or by the system's; of no signal 0 or below."""
    return -code if code < 0 else code - 128


def _wait_for(folder: Path, say: Callable[[str], None]) -> None:
    """Wait for a process that outlived the command that started it."""
    if is_locked(folder):
        say(f"another process is writing {folder}: waiting for its end")
        while is_locked(folder):
            time.sleep(1)
