"""Is there room for it? Asked before anything big is begun, so that nothing dies half-way."""

import shutil
from pathlib import Path

from fico.errors import UsageError

SMALL = 2**28  # bytes that are not worth the question: it costs more than a search for one query
_GROUP = Path("/sys/fs/cgroup")


def free_memory() -> int | None:
    """Bytes of memory that this process may still take; None where the system does not tell."""
    known = [size for size in (_free_of_machine(), _free_of_group()) if size is not None]
    return min(known, default=None)


def _free_of_machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), None)


def _free_of_group() -> int | None:
    """What a container leaves; the pages of mapped files count as free, they can be dropped."""
    try:
        limit, used = ((_GROUP / f"memory.{name}").read_text().strip() for name in ("max", "current"))
        fields = (line.split() for line in (_GROUP / "memory.stat").read_text().splitlines())
        mapped = sum(int(value) for name, value in fields if name in ("inactive_file", "active_file"))
        return None if limit == "max" else int(limit) - int(used) + mapped
    except (OSError, ValueError):
        return None


def free_disk(path: Path) -> int:
    """Free bytes where a file shall be made."""
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def require_memory(size: int, what: str, mend: str) -> None:
    """Refuses what does not fit into the free memory.

    Args:
        size: Bytes that will be taken at once.
        what: For the message: what takes them, as ``"5000000 codes of 64 bits"``.
        mend: For the message: what to do.

    Raises:
        UsageError: Less is free; both sizes are named.
    """
    if size <= SMALL:
        return
    free = free_memory()
    if free is not None and size > free:
        raise UsageError(f"{what} need about {gib(size)} of memory, but {gib(free)} are free; {mend}")


def require_disk(path: Path, size: int, what: str) -> None:
    """Refuses what does not fit onto the disk.

    Args:
        path: The file to be made.
        size: Bytes that it will grow by.
        what: For the message.

    Raises:
        UsageError: Less is free; both sizes are named.
    """
    free = free_disk(path)
    if size > free:
        raise UsageError(
            f"{what} need {gib(size)} of disk for {path}, but {gib(free)} are free; make room or choose another path"
        )


def gib(size: float) -> str:
    """Bytes for a reader, in GiB from 0.1 of them on, else in MiB."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 / 10 else f"{size / 2**20:.1f} MiB"
