"""Progress bar with the remaining time, for evaluations of minutes."""

from types import TracebackType

from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars


class Progress:
    """Counts finished pairs of query and item.

    Args:
        shown: Whether anything is drawn.
        pairs: Number of pairs to come.
    """

    def __init__(self, shown: bool, pairs: int) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        self._bars = Bars(*columns, transient=True) if shown else None
        self._task = self._bars.add_task("evaluate", total=pairs) if self._bars else None

    def __enter__(self) -> "Progress":
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()

    def advance(self, pairs: int) -> None:
        """Reports finished pairs."""
        if self._bars and self._task is not None:
            self._bars.advance(self._task, pairs)
