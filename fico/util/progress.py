"""A progress bar for what takes longer than a moment."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

Item = TypeVar("Item")
PATIENCE_SECONDS = 2.0


def track(items: Iterable[Item], total: int, description: str, *, is_shown: bool = True) -> Iterator[Item]:
    """Hand the items on; show a bar on standard error once they have taken two seconds.

    Args:
        items: What is worked through.
        total: How many there are.
        description: Said beside the bar.
        is_shown: False keeps quiet.
    """
    started = time.monotonic()
    bar = Progress(console=Console(stderr=True))
    task = bar.add_task(description, total=total)
    try:
        for item in items:
            if is_shown and not bar.live.is_started and time.monotonic() - started > PATIENCE_SECONDS:
                bar.start()
            yield item
            bar.advance(task)
    finally:
        if bar.live.is_started:  # stopping a bar that never started would print an empty line
            bar.stop()
