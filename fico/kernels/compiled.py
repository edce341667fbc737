"""The one way in which kernels are compiled: on first use, kept on disk, without the interpreter's lock.

Divisions follow NumPy (no check for zero in the inner loops): the kernels guard where a zero can matter.
"""

from numba import njit

kernel = njit(cache=True, nogil=True, error_model="numpy")
