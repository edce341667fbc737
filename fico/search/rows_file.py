"""Rows in a file, read where they lie."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fico.errors import DataError
from fico.util.disk_errors import map_npy

_TYPES = {"F32": "<f4", "F16": "<f2", "F64": "<f8", "U8": "|u1", "I8": "|i1", "BOOL": "|b1"}


@dataclass(frozen=True, slots=True)
class RowsFile:
    """A matrix in a file.

    Args:
        path: The file, absolute; every machine that opens it must see it there.
        dtype: NumPy's name.
        offset: Bytes before the first row.
        shape: ``rows columns``.
    """

    path: Path
    dtype: str
    offset: int
    shape: tuple[int, int]

    def open(self) -> np.memmap:
        """The matrix as a mapped array: rows are read when they are touched.

        Raises:
            DataError: The file is missing or too short.
        """
        if not self.path.is_file():
            raise DataError(f"{self.path} does not exist here; every machine must see it there")
        wanted = self.offset + np.dtype(self.dtype).itemsize * self.shape[0] * self.shape[1]
        if (size := self.path.stat().st_size) < wanted:
            raise DataError(f"{self.path} has {size} bytes, but {wanted} are needed; make it again")
        return np.memmap(self.path, self.dtype, "r", self.offset, self.shape)


def rows_file(path: str | Path, name: str | None = None) -> RowsFile:
    """The rows of a ``.npy`` file, or of one array of a ``.safetensors`` file such as an embedding store has.

    Args:
        path: The file.
        name: Array in a safetensors file. None: the file's name without its ending (``images``, ``texts``).

    Raises:
        DataError: The file is missing or cut off, holds no such array, or one that is not a matrix of a known type.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} does not exist; write the rows there first")
    try:
        found = _npy(path) if path.suffix == ".npy" else _safetensors(path, name or path.stem)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} holds no matrix that can be mapped ({error}); give .npy or .safetensors") from error
    found.open()
    return replace(found, path=path.resolve())  # who opens it later may be in another folder


def _npy(path: Path) -> RowsFile:
    array = map_npy(path)
    if array.ndim != 2 or array.flags.f_contiguous and not array.flags.c_contiguous:
        raise ValueError(f"shape {array.shape}, Fortran order {array.flags.f_contiguous}")
    return RowsFile(path, array.dtype.str, int(array.offset), (array.shape[0], array.shape[1]))


def _safetensors(path: Path, name: str) -> RowsFile:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > path.stat().st_size:
            raise ValueError("its header is cut off")
        described = json.loads(file.read(length))
    if name not in described:
        raise ValueError(f"no array {name!r} among {', '.join(sorted(set(described) - {'__metadata__'}))}")
    rows, columns = described[name]["shape"]
    return RowsFile(
        path, _TYPES[described[name]["dtype"]], 8 + length + described[name]["data_offsets"][0], (rows, columns)
    )
