"""Arrays from files: .npy, .npz, .safetensors, .mat and .h5; ``FILE:KEY`` names one of several."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from fico.correspondence import Correspondence
from fico.errors import DataError, UsageError
from fico.formats.matlab import read_matlab
from fico.formats.sources import array_file, split_source
from fico.formats.text import read_json
from fico.util.damaged import readable
from fico.util.optional import requires_extra

PAIRS_KEY = "caption_to_image"
CHECKED_ROWS = 4096  # rows read at once

Arrays = Mapping[str, Callable[[], np.ndarray]]  # by name; each is read on access


def load_array(source: str, *, prefer: Sequence[str] = ()) -> np.ndarray:
    """Reads one array.

    Args:
        source: Path, or ``PATH:KEY`` where the file holds several arrays.
        prefer: Keys to take, in this order, when several arrays are there and none is named.

    Returns:
        The array as stored; .npy files are mapped, not read. MATLAB arrays have their rows and columns as in MATLAB.

    Raises:
        UsageError: The suffix is unknown, the key is not in the file, or several arrays are there and none is named.
        DataError: The file is missing or cannot be read, or holds objects instead of numbers.
    """
    path, key = array_file(source)
    with ExitStack() as opened:
        arrays = _arrays(path, opened)
        if key is None:
            key = _only(path, arrays, prefer)
        elif key not in arrays:
            raise UsageError(f"{path} has no array {key!r}; it has {_listed(arrays)}")
        with readable(path, "fetch or make it again"):
            array = arrays[key]()
    if array.dtype.kind not in "fiub":
        raise DataError(f"{source} holds {array.dtype}; expected numbers")
    return array


def load_pairs(source: str) -> Correspondence:
    """Reads which image each caption belongs to.

    Args:
        source: JSON list of image rows, JSON object with ``caption_to_image``, or any array file.

    Raises:
        UsageError: As ``load_array``.
        DataError: The file is missing or broken, or does not hold one image row per caption.
    """
    path, _ = split_source(source)
    if path.suffix.lower() != ".json":
        rows = np.squeeze(load_array(source, prefer=(PAIRS_KEY,)))
        if rows.dtype.kind == "f" and (rows == np.floor(rows)).all():  # MATLAB stores integers as floats by default
            rows = rows.astype(np.int64)
        return Correspondence(rows)
    plain: Any = read_json(path)
    found = plain.get(PAIRS_KEY) if isinstance(plain, dict) else plain
    if not (isinstance(found, list) and all(isinstance(row, int) and not isinstance(row, bool) for row in found)):
        raise DataError(
            f"{path} holds no list of image rows; give one integer per caption, or {{{PAIRS_KEY!r}: [...]}}"
        )
    return Correspondence(found)


def load_labels(source: str) -> Bool[np.ndarray, "images classes"]:
    """Reads multi-hot labels, one row per image.

    Raises:
        UsageError: As ``load_array``.
        DataError: The array is not two-dimensional, holds something else than 0 and 1, or is a single column of
            numbers, which may be class numbers.
    """
    labels = load_array(source, prefer=("labels", "LAll"))
    if labels.ndim != 2:
        raise DataError(
            f"{source} has shape {labels.shape}; expected one row per image and one column per category, "
            "also where each image has one class"
        )
    if not ((labels == 0) | (labels == 1)).all():
        raise DataError(f"{source} holds values other than 0 and 1; threshold probabilities before you evaluate")
    if labels.shape[1] == 1 and labels.dtype != bool:
        raise DataError(
            f"{source} has a single column of 0 and 1, which may be one class or the numbers of two classes; store one "
            "column per class, or booleans for a single class"
        )
    return np.asarray(labels).astype(bool)


def check_finite(source: str, rows: np.ndarray, ids: Sequence[str]) -> None:
    """Refuse values that are not finite; they would rank first in silence.

    Raises:
        DataError: The ids of the first three such rows are named.
    """
    for start in range(0, len(rows), CHECKED_ROWS):
        block = np.asarray(rows[start : start + CHECKED_ROWS])
        bad = np.flatnonzero(~np.isfinite(block).reshape(len(block), -1).all(axis=1))
        if len(bad):
            names = ", ".join(ids[start + row] for row in bad[:3])
            raise DataError(f"{source} holds values that are not finite, for {names}; make the features again")


def _only(path: Path, arrays: Arrays, prefer: Sequence[str]) -> str:
    for key in prefer:
        if key in arrays:
            return key
    if len(arrays) != 1:
        raise UsageError(f"{path} holds {len(arrays)} arrays ({_listed(arrays)}); name one as {path.name}:KEY")
    return next(iter(arrays))


def _listed(arrays: Arrays) -> str:
    """Names in one line, also those of a damaged file."""
    return ", ".join(key if key.isprintable() else repr(key) for key in arrays) or "none"


def _arrays(path: Path, opened: ExitStack) -> Arrays:
    readers = {
        ".npy": _npy,
        ".npz": _npz,
        ".safetensors": _safetensors,
        ".mat": _mat,
        ".h5": _hdf5,
        ".hdf5": _hdf5,
        ".h5py": _hdf5,
    }
    with readable(path, f"give a whole file of the kind {path.suffix}"):
        return readers[path.suffix.lower()](path, opened)


def _npy(path: Path, opened: ExitStack) -> Arrays:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    return {path.stem: lambda: array}


def _npz(path: Path, opened: ExitStack) -> Arrays:
    file = opened.enter_context(np.load(path, allow_pickle=False))
    return {key: partial(file.__getitem__, key) for key in file.files}


def _safetensors(path: Path, opened: ExitStack) -> Arrays:
    from safetensors import safe_open

    from fico.util.arrays import as_numpy

    file = opened.enter_context(safe_open(path, framework="pt"))

    def read(key: str) -> np.ndarray:
        return as_numpy(file.get_tensor(key))

    return {key: partial(read, key) for key in file.keys()}  # noqa: SIM118 - it is not a dict


def _mat(path: Path, opened: ExitStack) -> Arrays:
    with requires_extra("data"):
        import h5py

    if h5py.is_hdf5(path):  # version 7.3, written by columns: h5py sees every array transposed
        return {key: partial(_transposed, read) for key, read in _hdf5(path, opened).items()}
    return {key: partial(np.asarray, value) for key, value in read_matlab(path).items()}


def _hdf5(path: Path, opened: ExitStack) -> Arrays:
    with requires_extra("data"):
        import h5py

    file = opened.enter_context(h5py.File(path))
    found: list[str] = []
    file.visititems(lambda key, item: found.append(key) if isinstance(item, h5py.Dataset) else None)
    return {key: partial(_dataset, file, key) for key in found if not key.startswith("#refs#")}


def _dataset(file: Any, key: str) -> np.ndarray:
    return np.asarray(file[key])


def _transposed(read: Callable[[], np.ndarray]) -> np.ndarray:
    return read().T
