"""Vectors out of files: ann-benchmarks' HDF5, which VIBE writes too, NumPy's and the fbin of big-ann-benchmarks."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fico.errors import DataError, PathError, UsageError
from fico.util.damaged import readable
from fico.util.disk_errors import map_npy
from fico.util.optional import requires_extra

_UNIT = ("angular", "cosine")
_PRODUCT = ("ip", "dot", "inner", "normalized")
_SUFFIXES = (".npy", ".fbin", ".hdf5", ".h5")


@dataclass(frozen=True, slots=True)
class RowsOnDisk:
    """A matrix in a file, of which no more is read than is asked for.

    Args:
        path: The file.
        shape: ``rows columns``.
        read: Gives the first rows.
        is_unit: The rows shall be brought to length 1.
    """

    path: Path
    shape: tuple[int, int]
    read: Callable[[int], np.ndarray]
    is_unit: bool = False

    def first(self, count: int) -> np.ndarray:
        """The first rows, ``float32``.

        Raises:
            DataError: The file is cut off.
        """
        with readable(self.path, "fetch it again"):
            rows = np.array(self.read(count), np.float32)
        if self.is_unit:
            rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        return rows


def open_vectors(data: str, query_data: str | None) -> tuple[RowsOnDisk, RowsOnDisk]:
    """Items and queries of files.

    Args:
        data: File of the items; an HDF5 file has ``train``, the items, and ``test``, the queries.
        query_data: File of the queries, of any of the forms; None: the ``test`` of ``data``.

    Raises:
        DataError: A file is missing, cut off, or holds no such matrix.
        UsageError: A file of another form, no file of queries where one is needed, or a distance other than cosine and
            inner product.
    """
    items = _open(Path(data), "train")
    if query_data is None and Path(data).suffix not in (".hdf5", ".h5"):
        raise UsageError(f"{data} holds items alone; give the file of the queries as bench.query_data=FILE")
    queries = _open(Path(query_data or data), "test")
    if items.shape[1] != queries.shape[1]:
        raise DataError(f"{items.path} has {items.shape[1]} columns and {queries.path} {queries.shape[1]}; give a pair")
    return items, queries


def _open(path: Path, key: str) -> RowsOnDisk:
    if not path.is_file():
        raise PathError(f"{path} does not exist; give a file ({', '.join(_SUFFIXES)}) as bench.data")
    if path.suffix not in _SUFFIXES:
        raise UsageError(f"{path} has none of the suffixes {', '.join(_SUFFIXES)}; write the vectors in one of them")
    with readable(path, "fetch it again"):
        if path.suffix in (".hdf5", ".h5"):
            return _hdf5(path, key)
        rows = map_npy(path) if path.suffix == ".npy" else _fbin(path)
        return RowsOnDisk(path, _shape(path, rows), lambda count: rows[:count])


def _fbin(path: Path) -> np.ndarray:
    count, columns = np.fromfile(path, "<u4", 2).tolist()
    if path.stat().st_size < 8 + 4 * count * columns:
        raise DataError(f"{path} is cut off: its header says {count} rows of {columns} floats; fetch it again")
    return np.memmap(path, "<f4", "r", 8, (count, columns))


def _hdf5(path: Path, key: str) -> RowsOnDisk:
    with requires_extra("data"):
        import h5py

    def read(count: int) -> np.ndarray:
        with h5py.File(path) as file:
            return np.asarray(file[key][:count])

    with h5py.File(path) as file:
        distance = str(file.attrs.get("distance", "")).lower()
        if key not in file:
            raise DataError(f"{path} has {', '.join(file)} but not ann-benchmarks' {key!r}; give another file")
        if distance not in (*_UNIT, *_PRODUCT):
            known = " or ".join((*_UNIT, *_PRODUCT))
            raise UsageError(f"{path} is of the distance {distance!r}, but the rivals search by {known}; give another")
        return RowsOnDisk(path, _shape(path, file[key]), read, distance in _UNIT)


def _shape(path: Path, rows: Any) -> tuple[int, int]:
    if len(rows.shape) != 2 or rows.dtype.kind not in "fiu":
        raise DataError(f"{path} holds {rows.dtype} of shape {tuple(rows.shape)}; give a matrix of numbers")
    return int(rows.shape[0]), int(rows.shape[1])
