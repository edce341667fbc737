"""How kernels are compiled: the first compilation is told, what is found on disk is not."""

import os
import subprocess
import sys

SCRIPT = """
import logging
logging.basicConfig(level=logging.INFO, format="%(message)s")
from fico.metrics.kernels.floats import count_above
import numpy as np
count_above(np.zeros(3, np.float32), np.float32(0))
count_above(np.zeros(3), 0.0)
"""


def test_the_first_compilation_is_told_once(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    told = [
        subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert [run.stderr.count("compiling kernels") for run in told] == [1, 0]
