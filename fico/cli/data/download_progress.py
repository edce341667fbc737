"""The display of several downloads at once, each of which is unpacked afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class DownloadBar:
    """One line of the display: bytes of the download, then files of the archive."""

    def __init__(self, bars: Progress, task: TaskID) -> None:
        self.bars, self.task = bars, task

    def rename(self, text: str) -> None:
        """Starts a new step under another text."""
        self.bars.reset(self.task, description=text, total=None, unit="")

    def bytes(self, got: int, size: int | None) -> None:
        """Shows downloaded bytes."""
        unit = gigabytes(got) if size is None else f"{gigabytes(got)} of {gigabytes(size)}"
        self.bars.update(self.task, completed=got, total=size, unit=unit)

    def files(self, done: int, count: int) -> None:
        """Shows unpacked files."""
        self.bars.update(self.task, completed=done, total=count, unit=f"{done:,} of {count:,} files")


@contextmanager
def download_bars() -> Iterator[Progress]:
    """The display on standard error, one line for each archive."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[unit]}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        yield bars


def gigabytes(count: int) -> str:
    """Bytes for a reader, in decimal units, as servers and disks state them."""
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
