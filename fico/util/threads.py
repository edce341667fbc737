"""Matrix products on several threads, each with one thread of BLAS; blocks in which BLAS or torch keep to one thread.

The threads of OpenBLAS spin for tens of milliseconds after every product, and take the time of whatever comes next.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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


_limit = threading.Lock()
_limited: list[Any] = []  # one entry for each block that is open, of whichever thread; the first holds BLAS's setting


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """While it is open, matrix products of NumPy take the calling thread alone; for threads that share the work.

    BLAS's setting is global: the first block to be opened changes it, the last one to be left puts it back.
    """
    with _limit:
        _limited.append(_limited[0] if _limited else _libraries().limit(limits=1, user_api="blas"))
    try:
        yield
    finally:
        with _limit:
            setting = _limited.pop()
            if not _limited:
                setting.restore_original_limits()


@cache
def _libraries() -> Any:
    from threadpoolctl import ThreadpoolController  # looks through all loaded libraries

    return ThreadpoolController()


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """While it is open, operations of torch take the calling thread alone: faster where their tensors are small.

    Some split a thousand elements, and the threads spin for milliseconds after each, in the time of others.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
