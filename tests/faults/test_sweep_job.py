"""A sweep of which a job fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SWEEP = ("-m", "model=cca", "dataset.images=5,30", "metric.bootstrap=0", "logger=none", "index=[]")


@pytest.mark.slow
def test_a_failed_job_of_a_sweep_is_listed_and_the_others_are_not_run_again(tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "run.py"), *SWEEP]
    ends = [
        subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280)
        for _ in range(2)
    ]
    for end in ends:
        assert end.returncode == 2, end.stderr  # that of the failed job
        assert "\nfailed: model=cca dataset.images=5 " in end.stderr
        assert "(dataset.images is 5, but must be a whole number of at least 20)" in end.stderr
        assert end.stderr.splitlines()[-1].startswith("1 of 2 jobs of the sweep failed")
        assert "Traceback" not in end.stderr
    assert len(list(tmp_path.rglob("results.json"))) == len(list(tmp_path.rglob("sweep.csv"))) == 1
    assert "nothing to do" not in ends[0].stderr
    assert "holds the results of the same config, data and code; nothing to do" in ends[1].stderr
