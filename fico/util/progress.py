"""A progress bar for what takes longer than a moment."""

import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self, TypeVar

from rich.console import Console
from rich.progress import Progress

Item = TypeVar("Item")
PATIENCE_SECONDS = 2.0


class ProgressBar:
    """A bar on standard error with the remaining time, shown once the work has taken two seconds.

    Args:
        total: Units of work.
        description: Text beside the bar.
        is_shown: False draws nothing.
    """

    def __init__(self, total: int, description: str, *, is_shown: bool = True) -> None:
        self._is_shown, self._begin = is_shown, time.monotonic()
        self._bar = Progress(console=Console(stderr=True))
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
        if self._is_shown and not self._bar.live.is_started and time.monotonic() - self._begin > PATIENCE_SECONDS:
            self._bar.start()
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
