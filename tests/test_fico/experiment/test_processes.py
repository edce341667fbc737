"""A process of a killed run ends by itself."""

import os
import subprocess
import sys
import time

import psutil
import pytest

CHILD = (
    "from fico.experiment.resume.processes import end_with_the_first; import time; end_with_the_first(); time.sleep(60)"
)
FIRST = """
import os, signal, subprocess, sys
from fico.experiment.resume.processes import end_with_the_first
end_with_the_first()
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], env={**os.environ, "LOCAL_RANK": "1"})
print(child.pid, flush=True)
if sys.argv[2] == "late":
    import time
    time.sleep(3)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("moment", ["at once", "late"])
def test_a_process_ends_with_the_first_one(moment):
    environment = {name: value for name, value in os.environ.items() if name not in ("LOCAL_RANK", "RANK")}
    done = subprocess.run(
        [sys.executable, "-c", FIRST, CHILD, moment], stdout=subprocess.PIPE, text=True, env=environment
    )
    child = int(done.stdout)
    end = time.monotonic() + 30
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end
        time.sleep(0.1)
