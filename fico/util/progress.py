"""A progress bar for what takes longer than a moment; where no terminal shows it, a line every ten seconds."""

import sys
import threading
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self, TypeVar

from rich.console import Console
from rich.progress import Progress

from fico.util.quiet import is_quiet
from fico.util.units import seconds_text

Item = TypeVar("Item")
PATIENCE_SECONDS = 2.0
LINE_SECONDS = 10.0


class ProgressBar:
    """A bar on standard error with the remaining time, shown once the work has taken two seconds.

    Where standard error is no terminal, the description is written then, in a line, and every ten seconds how much is
    done and how long the rest will take, also while a single unit takes longer than that.

    Args:
        total: Units of work.
        description: Text beside the bar.
        is_shown: False draws nothing.
    """

    def __init__(self, total: int, description: str, *, is_shown: bool = True) -> None:
        self._is_waiting, self._begin = is_shown and not is_quiet(), time.monotonic()
        self._console, self._description = Console(stderr=True), description
        self._bar = Progress(console=self._console)
        self._task = self._bar.add_task(description, total=total)
        self._total, self._done = total, 0
        self._ended = threading.Event()
        if self._is_waiting and not self._console.is_terminal:
            threading.Thread(target=self._write_lines, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the bar, and the lines; once all units are done they have ended already."""
        self._ended.set()
        if self._bar.live.is_started:  # stopping a bar that never started would print an empty line
            self._bar.stop()

    def advance(self, units: int = 1) -> None:
        """Counts finished units of work."""
        self._done += units
        if self._done >= self._total:
            self._ended.set()
        if self._is_waiting and self._console.is_terminal and time.monotonic() - self._begin > PATIENCE_SECONDS:
            self._is_waiting = False
            self._bar.start()
        self._bar.advance(self._task, units)

    def _write_lines(self) -> None:
        """In a thread of its own, until the work has ended."""
        if self._ended.wait(PATIENCE_SECONDS):
            return
        _write(self._description)
        while not self._ended.wait(LINE_SECONDS):
            _write(f"{self._description}: {self._state()}")

    def _state(self) -> str:
        """How much is done, and the time that the rest takes at the same rate."""
        spent = time.monotonic() - self._begin
        if not self._done:
            return f"{seconds_text(spent)} so far"
        left = spent * (self._total - self._done) / self._done
        return f"{100 * self._done // self._total} %, about {seconds_text(left)} left"


def _write(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def track(items: Iterable[Item], total: int, description: str, *, is_shown: bool = True) -> Iterator[Item]:
    """Iterates over items with a `ProgressBar`.

    Args:
        items: What is worked through.
        total: How many there are.
        description: Text beside the bar.
        is_shown: False draws nothing.

    Yields:
        The items.
    """
    with ProgressBar(total, description, is_shown=is_shown) as bar:
        for item in items:
            yield item
            bar.advance()
