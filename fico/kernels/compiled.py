"""The one way in which kernels are compiled: on first use, kept on disk, without the interpreter's lock.

Divisions follow NumPy (no check for zero in the inner loops): the kernels guard where a zero can matter.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Reals = NDArray[np.float64]
Words = NDArray[np.uint64]
Scores = NDArray[Any]  # float32 or float64
Tables = tuple[Reals, Reals, Reals]  # harmonic numbers, logarithms of factorials, summed discounts
Outputs = tuple[Reals, Reals, Reals]  # values, pessimistic and optimistic bounds: queries x columns

_Function = TypeVar("_Function", bound=Callable[..., Any])


def kernel(function: _Function) -> _Function:
    """Compiles a function on its first call."""
    return cast(_Function, njit(cache=True, nogil=True, error_model="numpy")(function))


def reduction(function: _Function) -> _Function:
    """Compiles a sum or maximum over an array of numbers, whose order of operations is the compiler's, for speed.

    The result depends on the processor's vector width in the last bit, but not on threads or blocks.
    """
    fast = {"reassoc", "nsz", "nnan"}
    return cast(_Function, njit(cache=True, nogil=True, error_model="numpy", fastmath=fast)(function))
