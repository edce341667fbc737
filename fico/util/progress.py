"""A progress bar for what takes longer than a moment."""

import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self, TypeVar

from rich.console import Console
from rich.progress import Progress

from fico.util.quiet import is_quiet

Item = TypeVar("Item")
PATIENCE_SECONDS = 2.0


class ProgressBar:
    """A bar on standard error with the remaining time, shown once the work has taken two seconds.

    Where standard error is no terminal, the description is written then, in a line.

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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar.live.is_started:  # stopping a bar that never started would print an empty line
            self._bar.stop()

    def advance(self, units: int = 1) -> None:
        """Counts finished units of work."""
        if self._is_waiting and time.monotonic() - self._begin > PATIENCE_SECONDS:
            self._is_waiting = False
            if self._console.is_terminal:
                self._bar.start()
            else:
                self._console.file.write(f"{self._description}\n")
        self._bar.advance(self._task, units)


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
