"""Writing safetensors in blocks of rows, so that memory-mapped arrays larger than the memory can be saved."""

import json
from collections.abc import Mapping
from pathlib import Path

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
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))
    header, at = {}, 0
    for name, array in ordered:
        end = at + array.nbytes
        header[name] = {"dtype": _NAMES[str(array.dtype)], "shape": list(array.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for _, array in ordered:
            step = max(1, BLOCK_BYTES // max(1, array[:1].nbytes))
            for start in range(0, len(array), step):
                file.write(np.ascontiguousarray(array[start : start + step]).data)
