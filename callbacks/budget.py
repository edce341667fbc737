"""Growing sizes of one kind of work: what each needs, and whether that is left or free."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fico.errors import UsageError
from fico.util.resources import free_disk, free_memory
from fico.util.units import bytes_text, seconds_text

log = logging.getLogger(__name__)


class Budget:
    """Time for all sizes together, which passes while they are measured.

    Args:
        seconds: In all.
        folder: Of the run, where large arrays are kept.
    """

    def __init__(self, seconds: float, folder: Path) -> None:
        self.left = seconds
        self._folder = folder

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Takes what passes in the context off the time that is left."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.left -= time.perf_counter() - begin

    def allows(self, what: str, seconds: float, *, memory: float = 0, disk: float = 0, is_timed: bool = True) -> bool:
        """Whether a size can be measured; a line tells what it needs, and if it is left out, why.

        Args:
            what: For the line.
            seconds: Predicted, the least that measuring takes.
            memory: Bytes, predicted.
            disk: Bytes in the folder, predicted.
            is_timed: False where time is no reason to leave the size out.
        """
        needs = f"{what} would take about {seconds_text(seconds)}"
        for size, kind in ((memory, "memory"), (disk, "disk")):
            needs += f", {bytes_text(size)} of {kind}" if size else ""
        if is_timed and seconds > self.left:
            log.info("%s: more than is left of the budget", needs)
        elif memory > free_memory():
            log.info("%s: more than the %s of memory that are free", needs, bytes_text(free_memory()))
        elif disk > (free := free_disk(self._folder / "rows")):
            log.info("%s: more than the %s of disk that are free", needs, bytes_text(free))
        else:
            log.info("%s", needs.replace(" would take ", ", "))
            return True
        return False


def growing(values: Sequence[int], key: str) -> tuple[int, ...]:
    """Sizes in growing order.

    Raises:
        UsageError: They are none; the key is named.
    """
    if not values or list(values) != sorted(set(values)) or any(type(n) is not int or n < 1 for n in values):
        raise UsageError(f"{key} is {list(values)}; give growing whole numbers from 1")
    return tuple(values)


def counted(value: int, key: str) -> int:
    """A number of at least 1.

    Raises:
        UsageError: It is none; the key is named.
    """
    if type(value) is not int or value < 1:
        raise UsageError(f"{key} is {value!r}; give a whole number of at least 1")
    return value
