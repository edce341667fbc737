"""The user's cache folder, and atomic writes of whole folders into it."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from fico.util.temporary import sweep_temporaries, temporary_path


def cache_dir() -> Path:
    """Folder of files that can be regenerated: ``FICO_CACHE_DIR``, or the system's cache folder."""
    return Path(os.environ.get("FICO_CACHE_DIR") or platformdirs.user_cache_dir("fico"))


def ensure_folder(folder: Path, is_complete: Callable[[Path], bool], write: Callable[[Path], None]) -> None:
    """Writes a folder unless it exists and is complete; what killed processes left of writing it is removed.

    Args:
        folder: The folder.
        is_complete: Whether an existing folder holds everything that `write` writes; an incomplete one is replaced.
        write: Fills an empty folder.
    """
    sweep_temporaries(folder)
    if folder.exists():
        if is_complete(folder):
            return
        _remove(folder)
    with _renamed_at_end(folder) as work:
        write(work)


@contextmanager
def _renamed_at_end(folder: Path) -> Iterator[Path]:
    """Yields a temporary folder, then renames it.

    Of several processes that write the same folder at once the first to end wins, and the others discard theirs:
    the content is a function of the folder's name.
    """
    work = temporary_path(folder)
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
    """Renames a folder, which is atomic, then deletes it."""
    aside = temporary_path(folder)
    try:
        folder.rename(aside)
    except FileNotFoundError:  # another process was faster
        return
    shutil.rmtree(aside, ignore_errors=True)
