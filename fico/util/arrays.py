"""Matrices from whatever a user hands over."""

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from fico.errors import DataError

Embeddings = ArrayLike | Tensor


def as_matrix(values: Any, what: str) -> np.ndarray | Tensor:
    """Two-dimensional NumPy array, or torch tensor without gradient where it lies; not copied.

    Args:
        values: One row per item.
        what: Name of the rows for errors: "images", "queries".

    Raises:
        DataError: No real numbers, not two-dimensional, or empty.
    """
    array: np.ndarray | Tensor = values.detach() if isinstance(values, Tensor) else np.asanyarray(values)
    is_real = not array.is_complex() if isinstance(array, Tensor) else array.dtype.kind in "fiub"
    if not is_real:
        raise DataError(f"{what} have dtype {str(array.dtype).removeprefix('torch.')}; give real numbers or codes")
    if array.ndim != 2 or 0 in array.shape:
        raise DataError(f"{what} have shape {tuple(array.shape)}; give a matrix with one row per item, not empty")
    return array


def to_array(values: Embeddings, what: str) -> np.ndarray:
    """Two-dimensional NumPy view of an array or tensor; a copy only where NumPy has no such type.

    Raises:
        DataError: As ``as_matrix``.
    """
    matrix = as_matrix(values, what)
    return as_numpy(matrix) if isinstance(matrix, Tensor) else np.asarray(matrix)


def as_tensor(array: np.ndarray) -> Tensor:
    """A tensor in the memory of an array, which torch would warn of where it is read-only; it must not be written."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def share_memory(rows: np.ndarray, source: Any) -> bool:
    """Whether rows may lie in the memory of what they were made from, an array or a tensor."""
    if isinstance(source, Tensor):
        return source.device.type == "cpu" and share_memory(rows, as_numpy(source))
    return isinstance(source, np.ndarray) and np.may_share_memory(rows, source)


def owned(rows: np.ndarray, source: Any) -> np.ndarray:
    """Rows that their caller cannot overwrite: copied where they share memory with what they were made from.

    A file mapped for reading alone stays mapped, since it cannot be written through and its rows may exceed memory.

    Args:
        rows: What shall be kept.
        source: What a caller handed over.
    """
    is_mapped = isinstance(source, np.memmap) and source.mode == "r"
    return rows.copy() if share_memory(rows, source) and not is_mapped else rows


def as_numpy(tensor: Tensor) -> np.ndarray:
    """A tensor's values as a NumPy array, a copy only from a device or from bfloat16, which NumPy does not have.

    Returns:
        The same dtype; of bfloat16 float32, which holds every one of its values.
    """
    tensor = tensor.detach().cpu()
    return np.asarray((tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy())
