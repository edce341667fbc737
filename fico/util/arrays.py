"""Matrices from whatever a user hands over."""

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from fico.errors import DataError

Embeddings = ArrayLike | Tensor


def to_array(values: Embeddings, what: str) -> np.ndarray:
    """Two-dimensional NumPy view of an array or tensor.

    Raises:
        DataError: It is empty or not two-dimensional, or holds no real numbers.
    """
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        values = (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise DataError(f"the {what} have dtype {array.dtype}; give real numbers or codes")
    if array.ndim != 2 or 0 in array.shape:
        raise DataError(f"the {what} have shape {array.shape}; give a matrix with one row each and no empty side")
    return array
