"""How kernels are compiled: the first compilation is announced, what is found on disk is not."""

import gc
import os
import subprocess
import sys

import numba
import numpy as np

from fico.metrics.kernels import compiled
from fico.metrics.kernels.floats import count_above

SCRIPT = """
from fico.metrics.kernels.floats import count_above
import numpy as np
count_above(np.zeros(3, np.float32), np.float32(0))
count_above(np.zeros(3), 0.0)
"""
LOGGED = """
import logging
logging.basicConfig(level=logging.INFO, format="logged: %(message)s")
"""


def test_the_first_compilation_is_announced_once_where_nobody_set_up_logging_too(tmp_path):
    def stderr(script, cache):
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / cache)}
        command = [sys.executable, "-c", script]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stderr

    runs = [stderr(SCRIPT, "plain"), stderr(SCRIPT, "plain"), stderr(LOGGED + SCRIPT, "logged")]
    assert [run.count("compiling kernels") for run in runs] == [1, 0, 1]
    assert runs[0].startswith("fico: compiling kernels")
    assert runs[2].startswith("logged: compiling kernels")


def test_the_collector_rests_while_a_kernel_compiles_and_comes_back():
    seen = []

    class Watcher(compiled.event.Listener):
        def on_start(self, event):
            seen.append(gc.isenabled())

        def on_end(self, event):
            pass

    with compiled.event.install_listener("numba:compile", Watcher()):
        count_above.__class__(count_above.py_func, targetoptions={"nopython": True})(np.zeros(3), 0.0)
    assert seen == [False]
    assert gc.isenabled()


def test_functions_of_others_compile_beside_ours():
    """A function that exec defines has no module."""
    scope = {"__name__": None}
    exec("def double(x):\n    return 2 * x", scope)
    assert numba.njit(scope["double"])(2) == 4


def test_no_subroutine_is_compiled_for_a_literal():
    """Each would be compiled once more for the number 0 or 1."""
    from fico import Correspondence, evaluate
    from fico.metrics.kernels import average_precision, blocks, codes, floats, hits

    rows, labels = np.eye(4, dtype=np.float32), np.eye(4, dtype=int)
    evaluate(rows, rows, Correspondence(np.arange(4)), labels=labels, similarity="cosine", bootstrap=0)
    signs = np.where(rows > 0, 1, -1)
    evaluate(signs, signs, Correspondence(np.arange(4)), labels=labels, similarity="hamming", bits=4, bootstrap=0)
    for module in (average_precision, blocks, codes, floats, hits):
        for name, function in vars(module).items():
            assert "Literal" not in str(getattr(function, "signatures", "")), name
