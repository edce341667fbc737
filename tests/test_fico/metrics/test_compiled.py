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


COMPILED = """
import numpy as np
from numba.core import event
from fico import Correspondence, evaluate

class Watcher(event.Listener):
    def on_start(self, event):
        function = event.data["dispatcher"].py_func
        print(function.__module__, function.__name__)

    def on_end(self, event):
        pass

rows = np.random.default_rng(0).standard_normal((12, 8)).astype(np.float32)
labels = np.arange(12)[:, None] % 3 == np.arange(3)
with event.install_listener("numba:compile", Watcher()):
    for sides, similarity in ((rows, "cosine"), (np.sign(rows), "hamming")):
        evaluate(sides, sides, Correspondence(np.arange(12)), labels=labels, similarity=similarity)
"""


def test_default_evaluations_compile_little_and_nothing_twice(tmp_path):
    """Each function is 0.1 s of the first evaluation on a machine, and a literal 0 or 1 compiles one once more."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_OPT": "0"}
    command = [sys.executable, "-c", COMPILED]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    ours = sorted(name for name in found if name.startswith("fico."))
    assert ours == sorted(set(ours))
    assert len(ours) <= 30, ours
    assert len(found) - len(ours) <= 8  # numba's own, such as its max
