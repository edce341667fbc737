"""Errors of the disk as one sentence each, and mapped files: whole ones, and new ones with their bytes reserved."""

import errno
import os
import traceback
import warnings
from pathlib import Path
from typing import Literal

import numpy as np

REASONS = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the quota of the disk is used up; free some space",
    errno.EFBIG: "the file would be larger than the system allows; raise the limit (ulimit -f)",
    errno.EROFS: "the disk is read-only; choose another folder",
    errno.EACCES: "it must not be written or read; change its permissions, or choose another folder",
    errno.EPERM: "it must not be written or read; change its permissions, or choose another folder",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter folder or name",
    errno.EIO: "the disk failed; check it",
}


def disk_sentence(error: OSError) -> str | None:
    """What a user must know of an error of the disk; None for an error of another kind."""
    reason = REASONS.get(error.errno or 0)
    what = error.filename2 or error.filename
    if reason is None and _is_making_a_folder(error):
        return f"the folder {what} cannot be made ({error.strerror}); choose another and repeat the command"
    return None if reason is None else f"{f'{what}: ' if what else ''}{reason} and repeat the command"


def _is_making_a_folder(error: OSError) -> bool:
    """Whether a folder, whose path the user chose, could not be made below or in place of a file."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].name in ("mkdir", "makedirs")


def map_new_file(path: Path, dtype: np.dtype, shape: tuple[int, ...]) -> np.memmap:
    """A new ``.npy``, mapped for writing, whose bytes are reserved: a full disk is an error here, and no signal later.

    Args:
        path: The file; an existing one is replaced.
        dtype: Of the array.
        shape: Of the array.

    Raises:
        OSError: The disk has not that many bytes; nothing is left of the file.
    """
    try:
        mapped: np.memmap = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        reserve(path)
    except OSError as error:
        path.unlink(missing_ok=True)
        error.filename = str(path)
        raise
    return mapped


def map_npy(path: Path, mode: Literal["r", "r+"] = "r") -> np.memmap:
    """Map an array of a ``.npy``.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no complete ``.npy`` of numbers.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a damaged header that it were one of Python 2
            mapped: np.memmap = np.lib.format.open_memmap(path, mode=mode)
        return mapped
    except (OSError, ValueError):
        raise
    except Exception as error:  # the header is parsed as Python, whose errors are of many kinds
        raise ValueError(f"its header is damaged: {type(error).__name__}") from error


def reserve(path: Path) -> None:
    """Reserve the bytes of a file that has its size but not yet its blocks.

    Raises:
        OSError: The disk has not that many bytes.
    """
    if not hasattr(os, "posix_fallocate"):  # macOS, Windows
        return
    descriptor = os.open(path, os.O_RDWR)
    try:
        if size := os.fstat(descriptor).st_size:
            os.posix_fallocate(descriptor, 0, size)
    finally:
        os.close(descriptor)
