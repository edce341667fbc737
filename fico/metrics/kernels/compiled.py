"""The one way in which kernels are compiled: on first use, kept on disk, without the interpreter's lock.

Divisions follow NumPy (no check for zero in the inner loops): the kernels guard where a zero can matter.
"""

import hashlib
import logging
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba import njit
from numba.core import event
from numpy.typing import NDArray
from platformdirs import user_cache_path

_LOG = logging.getLogger(__name__)

Ints = NDArray[np.int64]
Reals = NDArray[np.float64]
Words = NDArray[np.uint64]
Scores = NDArray[Any]  # float32 or float64
Tables = tuple[Reals, Reals, Reals]  # harmonic numbers, logarithms of factorials, summed discounts
Outputs = tuple[Reals, Reals, Reals]  # values, pessimistic and optimistic bounds: queries x columns
Blocks = tuple[Ints, Ints, Ints, Ints]  # of mixed blocks: items above, tied, relevant, hits before

_Function = TypeVar("_Function", bound=Callable[..., Any])


def kernel(function: _Function) -> _Function:
    """Compiles a function on its first call."""
    return _compiled(function, fast=False)


def reduction(function: _Function) -> _Function:
    """Compiles a sum over an array, whose order of additions is the compiler's, for speed.

    The result depends on the processor's vector width in the last bit, but not on threads or blocks.
    """
    return _compiled(function, fast=True)


def _compiled(function: _Function, fast: bool) -> _Function:
    """Compiles with a cache for exactly these sources.

    Numba looks at the file of a kernel alone: a cached one would keep the old code of a kernel in another file that it
    calls. So each state of the sources has its own folder.
    """
    flags = {"reassoc", "nsz"} if fast else False
    config: Any = numba.config
    before = config.CACHE_DIR
    config.CACHE_DIR = str(_cache_folder(before))
    try:
        return cast(_Function, njit(cache=True, nogil=True, error_model="numpy", fastmath=flags)(function))
    finally:
        config.CACHE_DIR = before


class CompilationMessage(event.Listener):
    """Logs the first compilation of one of this library's kernels, which is silent work of several seconds."""

    def __init__(self) -> None:
        self._is_told = False

    def on_start(self, event: event.Event) -> None:
        """Called where no compiled kernel is in the cache."""
        if not self._is_told and event.data["dispatcher"].py_func.__module__.startswith("fico."):
            self._is_told = True
            _LOG.info("compiling kernels, which takes some seconds; later runs on this machine find them on disk")

    def on_end(self, event: event.Event) -> None:
        """Nothing is told."""


event.register("numba:compile", CompilationMessage())


@cache
def _cache_folder(chosen: str) -> Path:
    here = Path(__file__).parent
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(here.glob("*.py")))).hexdigest()[:16]
    if chosen:
        return Path(chosen) / f"fico-{digest}"
    local = here / "__pycache__"
    writable = os.access(local if local.exists() else here, os.W_OK)
    return (local if writable else user_cache_path("fico")) / f"kernels-{digest}"
