"""A progress bar for what takes longer than a moment; where no terminal shows it, a line every ten seconds."""

import sys
import threading
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from fico.util.quiet import is_quiet
from fico.util.units import seconds_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

Item = TypeVar("Item")
PATIENCE_SECONDS = 2.0
LINE_SECONDS = 10.0


class ProgressBar:
    """A bar on standard error with the remaining time, shown once the work has taken two seconds.

    Where standard error is no terminal, a line says then, and again every ten seconds, how much is done and how long
    the rest will take, also while a single unit takes longer than that.

    Args:
        total: Units of work.
        description: Text beside the bar.
        is_shown: False draws nothing.
    """

    def __init__(self, total: int, description: str, *, is_shown: bool = True) -> None:
        self._is_waiting, self._begin = is_shown and not is_quiet(), time.monotonic()
        self._description, self._total, self._done = description, total, 0
        self._bar: Progress | None = None
        self._ended = threading.Event()
        if self._is_waiting:
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
        if self._bar is not None:
            self._bar.stop()

    def advance(self, units: int = 1) -> None:
        """Counts finished units of work."""
        self._done += units
        if self._done >= self._total:
            self._ended.set()
        if self._bar is not None:
            self._bar.advance(self._task, units)
        elif self._is_waiting and time.monotonic() - self._begin > PATIENCE_SECONDS:
            self._is_waiting = False
            self._draw()

    def _draw(self) -> None:
        """Starts the bar, in a terminal."""
        if (console := _terminal()) is not None:
            from rich.progress import Progress

            self._bar = Progress(console=console)
            self._task = self._bar.add_task(self._description, total=self._total, completed=self._done)
            self._bar.start()

    def _write_lines(self) -> None:
        """In a thread of its own, until the work has ended; nothing in a terminal."""
        if self._ended.wait(PATIENCE_SECONDS) or _terminal() is not None:
            return
        _write(f"{self._description}: {self._state()}" if self._done else self._description)
        while not self._ended.wait(LINE_SECONDS):
            _write(f"{self._description}: {self._state()}")

    def _state(self) -> str:
        """How much is done, and the time that the rest takes at the same rate."""
        spent = time.monotonic() - self._begin
        if not self._done:
            return f"{seconds_text(spent)} so far"
        left = spent * (self._total - self._done) / self._done
        return f"{100 * self._done // self._total} %, about {seconds_text(left)} left"


def _terminal() -> "Console | None":
    """What draws on standard error; None where that is no terminal."""
    from rich.console import Console  # most work ends before anybody asks for it

    console = Console(stderr=True)
    return console if console.is_terminal else None


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
