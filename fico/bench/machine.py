"""Memory and load of this machine: the conditions that each row of a bench records."""

import os
import threading
from typing import Any, Self

from fico.util.provenance import hardware
from fico.util.resources import peak_resident_memory, resident_memory


def conditions() -> dict[str, Any]:
    """What goes into each row: memory of the process now and at its peak, processor, load of the machine.

    Returns:
        ``rss_bytes`` and ``peak_memory_bytes`` of the whole process, ``cpu``, ``load`` (waiting and running
        tasks, mean of the last minute: above the number of cores wall-clock times are worth nothing).
    """
    return {
        "rss_bytes": resident_memory(),
        "peak_memory_bytes": peak_resident_memory(),
        "cpu": hardware()["cpu"],
        "load": round(os.getloadavg()[0], 2),
    }


class PeakMemory:
    """Watches by how much the process grows while this context is open: ``grown_bytes``."""

    grown_bytes = 0

    def __enter__(self) -> Self:
        start, self._done = resident_memory(), threading.Event()

        def watch() -> None:
            while not self._done.wait(0.005):
                self.grown_bytes = max(self.grown_bytes, resident_memory() - start)

        self._watcher = threading.Thread(target=watch, daemon=True)
        self._watcher.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._watcher.join()
