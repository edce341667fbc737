"""Writing safetensors in blocks of rows, so that memory-mapped arrays larger than the memory can be saved."""

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

BLOCK_BYTES = 64 * 2**20
# Of the dtypes that embeddings, codes, labels and lengths have.
_NAMES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "int64": "I64",
    "int32": "I32",
    "int8": "I8",
    "uint8": "U8",
}


def save_tensors(tensors: Mapping[str, np.ndarray], path: Path) -> None:
    """Write the same bytes as `safetensors.numpy.save_file`, without a second copy of an array in memory.

    Args:
        tensors: Arrays by name; mapped ones are read in blocks of rows.
        path: The file.

    Raises:
        KeyError: An array has a dtype that embeddings do not have.
    """
    layout = Layout({name: (str(array.dtype), array.shape) for name, array in tensors.items()})
    layout.create(path)
    with path.open("r+b") as file:
        for name, array in tensors.items():
            layout.write(file, name, 0, array)


class Layout:
    """Where the tensors of a file lie, so that their rows can be written in any order.

    Args:
        specifications: NumPy's name of the dtype and the shape of each tensor, by its name.

    Raises:
        KeyError: A tensor has a dtype that embeddings do not have.
    """

    def __init__(self, specifications: Mapping[str, tuple[str, tuple[int, ...]]]) -> None:
        ordered = sorted(specifications.items(), key=lambda item: (-np.dtype(item[1][0]).itemsize, item[0]))
        header: dict[str, Any] = {}
        at = 0
        for name, (dtype, shape) in ordered:
            end = at + prod(shape) * np.dtype(dtype).itemsize
            header[name] = {"dtype": _NAMES[dtype], "shape": list(shape), "data_offsets": [at, end]}
            at = end
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        self._head = len(text).to_bytes(8, "little") + text
        self._starts = {name: len(self._head) + tensor["data_offsets"][0] for name, tensor in header.items()}
        self._bytes = len(self._head) + at

    def create(self, path: Path) -> None:
        """Create the file; its tensors are zeros that take no space yet. An older file is replaced."""
        with path.open("wb") as file:
            file.write(self._head)
            file.truncate(self._bytes)

    def write(self, file: BinaryIO, name: str, row: int, rows: np.ndarray) -> None:
        """Write successive rows of a tensor, in blocks.

        Args:
            file: Created before, open for reading and writing.
            name: Of the tensor.
            row: The first that is written.
            rows: Of the tensor's dtype and width; mapped ones are read in blocks.
        """
        if not len(rows):
            return
        file.seek(self._starts[name] + row * rows[:1].nbytes)
        step = max(1, BLOCK_BYTES // max(1, rows[:1].nbytes))
        for start in range(0, len(rows), step):
            file.write(np.ascontiguousarray(rows[start : start + step]).data)
