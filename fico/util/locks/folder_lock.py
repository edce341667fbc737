"""The lock of a folder that one process writes at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from fico.errors import UsageError

LOCK = ".lock"


@contextmanager
def locked_folder(folder: Path, *, rank: int = 0) -> Iterator[None]:
    """Holds the folder's lock while the block runs. The system frees it when the process ends, however it ends.

    Args:
        folder: Of one run.
        rank: Of this process among those of the run. The first one refuses a folder in use; the others wait up to a
            minute for their predecessor, which may outlive a killed run by a moment.

    Raises:
        UsageError: Another process writes the folder.
    """
    lock = _lock(folder, rank)
    try:
        lock.acquire(timeout=60 * bool(rank))
    except Timeout:
        raise UsageError(
            f"another process is writing {folder}; wait for its end, or give another folder (hydra.run.dir=FOLDER)"
        ) from None
    try:
        yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def is_locked(folder: Path) -> bool:
    """Whether another process writes the folder now."""
    lock = _lock(folder, 0)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def _lock(folder: Path, rank: int) -> FileLock:
    return FileLock(folder / (f"{LOCK}.{rank}" if rank else LOCK))
