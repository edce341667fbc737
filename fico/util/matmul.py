"""Matrix products on several threads, each with one thread of BLAS.

The threads of OpenBLAS spin for tens of milliseconds after every product, and take the time of whatever comes next.
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float


def matmul(
    left: Float[np.ndarray, "rows dim"], right: Float[np.ndarray, "dim columns"], out: Float[np.ndarray, "rows columns"]
) -> None:
    """Writes ``left @ right`` into ``out``, on as many threads as torch uses.

    Args:
        left: Its rows are split between the threads.
        right: Read by all threads.
        out: Of the same dtype.
    """
    threads = torch.get_num_threads()
    step = -(-len(left) // threads)

    def piece(first: int) -> None:
        np.matmul(left[first : first + step], right, out=out[first : first + step])

    with one_blas_thread(), ThreadPoolExecutor(threads) as pool:
        list(pool.map(piece, range(0, len(left), max(1, step))))


def one_blas_thread() -> AbstractContextManager[Any]:
    """While it is open, matrix products of NumPy take the calling thread alone; for threads that share the work."""
    limited: AbstractContextManager[Any] = _libraries().limit(limits=1, user_api="blas")
    return limited


@cache
def _libraries() -> Any:
    from threadpoolctl import ThreadpoolController  # looks through all loaded libraries

    return ThreadpoolController()
