"""The user's cache folder, and writing into it so that no half-written file is ever read."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import platformdirs


def cache_dir() -> Path:
    """Give the folder for what can be made again: ``FICO_CACHE_DIR``, or the system's place for caches."""
    return Path(os.environ.get("FICO_CACHE_DIR") or platformdirs.user_cache_dir("fico"))


def ensure_folder(folder: Path, is_whole: Callable[[Path], bool], write: Callable[[Path], None]) -> None:
    """Make a folder unless it is there and whole.

    Args:
        folder: What is wanted.
        is_whole: Says whether an existing folder holds all that `write` writes; a broken one is made again.
        write: Fills an empty folder.
    """
    if folder.exists():
        if is_whole(folder):
            return
        _remove(folder)
    with _renamed_at_end(folder) as work:
        write(work)


@contextmanager
def _renamed_at_end(folder: Path) -> Iterator[Path]:
    """Fill a temporary folder, then rename it.

    Of several processes that make the same folder at once the first to end wins, and the others throw theirs
    away: what is made is a function of the folder's name.
    """
    work = _beside(folder)
    work.mkdir(parents=True)
    try:
        yield work
        try:
            work.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _remove(folder: Path) -> None:
    """Take a folder away at once, then delete it at leisure."""
    aside = _beside(folder)
    try:
        folder.rename(aside)
    except FileNotFoundError:  # another process was faster
        return
    shutil.rmtree(aside, ignore_errors=True)


def _beside(folder: Path) -> Path:
    return folder.parent / f".{folder.name}-{uuid4().hex}"
