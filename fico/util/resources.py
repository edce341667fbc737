"""Cores, memory and disk that a process may use; the last two are checked before a large allocation starts."""

import shutil
import sys
from pathlib import Path

import psutil

from fico.errors import UsageError
from fico.util.units import bytes_text

SMALL = 2**28  # bytes below which the check costs more than a search for one query
_GROUP = Path("/sys/fs/cgroup")
_STATUS = Path("/proc/self/status")


def free_memory() -> int:
    """Bytes of memory that this process may still take."""
    of_machine = int(psutil.virtual_memory().available)
    of_container = _free_of_container()
    return of_machine if of_container is None else min(of_machine, of_container)


def cores() -> int:
    """Cores that this process may use: its CPU affinity where the system has one, else those of the machine."""
    process = psutil.Process()  # macOS has no affinity
    return len(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else psutil.cpu_count() or 1


def resident_memory() -> int:
    """Bytes of memory that this process holds now."""
    return int(psutil.Process().memory_info().rss)


def peak_resident_memory() -> int:
    """Most bytes of memory that this process has held; on Linux since its high-water mark was reset."""
    if _STATUS.exists():  # psutil cannot read the mark on Linux
        lines = _STATUS.read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    import resource  # POSIX alone has it

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _free_of_container() -> int | None:
    """What the limit of a Linux control group leaves; None without a limit.

    psutil reads the machine alone. The pages of mapped files count as free: the kernel drops them when needed.
    """
    try:
        limit, used = ((_GROUP / f"memory.{name}").read_text().strip() for name in ("max", "current"))
        fields = (line.split() for line in (_GROUP / "memory.stat").read_text().splitlines())
        mapped = sum(int(value) for name, value in fields if name in ("inactive_file", "active_file"))
        return None if limit == "max" else int(limit) - int(used) + mapped
    except (OSError, ValueError):
        return None


def free_disk(path: Path) -> int:
    """Free bytes of the disk that a path, which need not exist yet, is on."""
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def require_memory(size: int, what: str, advice: str) -> None:
    """Refuses an allocation that does not fit into the free memory.

    Args:
        size: Bytes of the allocation.
        what: For the message: what is allocated, as ``"5000000 codes of 64 bits"``.
        advice: For the message: what to do instead.

    Raises:
        UsageError: Less is free; both sizes are named.
    """
    if size <= SMALL:
        return
    free = free_memory()
    if size > free:
        raise UsageError(f"{what} need about {bytes_text(size)} of memory, but {bytes_text(free)} are free; {advice}")


def require_disk(path: Path, size: int, what: str) -> None:
    """Refuses a file that does not fit onto the disk.

    Args:
        path: The file to write.
        size: Bytes that it will grow by.
        what: For the message.

    Raises:
        UsageError: Less is free; both sizes are named.
    """
    free = free_disk(path)
    if size > free:
        raise UsageError(
            f"{what} need {bytes_text(size)} of disk for {path}, but {bytes_text(free)} are free; free some or "
            "choose another path"
        )
