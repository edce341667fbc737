"""Atomic writes: a file is written under a temporary name, synced to disk, then renamed."""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fico.util.temporary import sweep_temporaries, temporary_path


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields a temporary path; after the block its file is synced and renamed to ``path``.

    If the block raises, the temporary file is removed and ``path`` stays as it was. What a killed process left of
    writing the same file is removed first.

    Args:
        path: The finished file. Its folder is created.

    Yields:
        The temporary path to write to, in the same folder, so that the rename is atomic.

    Raises:
        OSError: The disk refused; ``path`` is named.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep_temporaries(path)
    temporary = temporary_path(path)
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
    except Exception as error:
        named = _named(error, path)
        if named is error:
            raise
        raise named from error
    finally:
        temporary.unlink(missing_ok=True)
    if os.name == "posix":  # Windows cannot open a folder, and keeps the name without a sync
        _sync(path.parent)


def _named(error: Exception, path: Path) -> Exception:
    """The same error with the name of the file; of safetensors, whose errors are none of the system, one that is."""
    if isinstance(error, OSError):
        error.filename = str(path)
        return error
    number = re.search(r"\(os error (\d+)\)", str(error))
    return OSError(int(number[1]), os.strerror(int(number[1])), str(path)) if number else error


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, read in pieces.

    Returns:
        64 hexadecimal digits.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
