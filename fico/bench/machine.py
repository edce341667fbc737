"""Memory and load of this machine, for a bench that asks before it starts and says what it ran beside."""

import os
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fico.errors import UsageError
from fico.report.provenance import hardware

_CGROUP = Path("/sys/fs/cgroup")


def available_bytes() -> int | None:
    """Free memory: of the system, or what a container still allows; None where nothing tells."""
    known = [size for size in (_system_bytes(), _container_bytes()) if size is not None]
    return min(known) if known else None


def refuse_beyond_memory(needs: Mapping[str, float], what: str, advice: str) -> None:
    """Refuses what does not fit.

    Args:
        needs: Bytes by step.
        what: Said of all of them, as ``with 5,000,000 items of 2048 floats``.
        advice: What to do about it.

    Raises:
        UsageError: A step needs more than is free; both sizes are named.
    """
    free = available_bytes()
    for name, size in needs.items():
        if free is not None and size > free:
            raise UsageError(
                f"{name} {what} needs about {size / 2**30:.1f} GiB, but {free / 2**30:.1f} GiB are free; {advice}"
            )


def conditions() -> dict[str, Any]:
    """What goes into each row: memory of the process now and at its peak, processor, load of the machine.

    Returns:
        ``rss_bytes`` and ``peak_memory_bytes`` of the whole process, ``cpu``, ``load`` (waiting and running
        tasks, mean of the last minute: above the number of cores wall-clock times are worth nothing).
    """
    return {
        "rss_bytes": _rss_bytes(),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "cpu": hardware()["cpu"],
        "load": round(os.getloadavg()[0], 2),
    }


def _rss_bytes() -> int | None:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None  # not Linux


def _system_bytes() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), None)


def _container_bytes() -> int | None:
    try:
        limit, used = ((_CGROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return None
    if limit == "max":
        return None
    reclaimable = (line for line in (_CGROUP / "memory.stat").read_text().splitlines() if line.startswith("file "))
    return int(limit) - int(used) + sum(int(line.split()[1]) for line in reclaimable)
