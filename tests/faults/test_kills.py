"""The short form of the kill loop, and several processes: 143, one folder, the same numbers."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("dataset.images=40", "model.epochs=2", "index=[]", "metric.bootstrap=5", "logger=none")
TWO = ("trainer=ddp", "trainer.accelerator=cpu")


def start(folder, *command):
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([str(part) for part in command], cwd=folder, env=environment, text=True, **pipes)


def results(folder):
    (found,) = folder.glob("outputs/*/*/results.json")
    return json.loads(found.read_text())["metrics"]


def test_three_kills_lose_nothing_change_nothing_and_leave_nothing(tmp_path, warm_python):
    done = warm_python(
        "tests/kill_loop.py", "--kills", "3", "--only", "scoring", "--folder", tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all: 3 kills" in done.stdout


@pytest.mark.slow
def test_sigterm_ends_two_processes_with_143_and_the_same_command_goes_on(tmp_path):
    command = (sys.executable, ROOT / "run.py", "model=vsrn", *SMALL, *TWO)
    whole = start(tmp_path / "whole", *command)
    whole.communicate(timeout=300)
    assert whole.returncode == 0
    process = start(tmp_path / "killed", *command)
    while not list((tmp_path / "killed").rglob("last.ckpt")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    again = start(tmp_path / "killed", *command)
    _, err = again.communicate(timeout=300)
    assert again.returncode == 0, err
    assert "goes on with what was begun" in err
    assert results(tmp_path / "killed") == results(tmp_path / "whole")


@pytest.mark.slow
def test_torchrun_on_two_machines_makes_one_folder_with_the_numbers_of_one_process(tmp_path):
    options = ("model=ucch", *SMALL, "stage=[test]", "+untrained=true")
    launcher = ("-m", "torch.distributed.run", "--nnodes=2", "--master-addr=127.0.0.1", "--master-port=29731")
    two = (ROOT / "run.py", *options, *TWO, "trainer.devices=1", "+trainer.num_nodes=2")
    machines = [start(tmp_path / "two", sys.executable, *launcher, f"--node-rank={rank}", *two) for rank in range(2)]
    for machine in machines:
        _, err = machine.communicate(timeout=300)
        assert machine.returncode == 0, err
    assert len(list(tmp_path.glob("two/outputs/*/*"))) == 1
    alone = start(tmp_path / "one", sys.executable, ROOT / "run.py", *options, "trainer=cpu")
    assert alone.wait(300) == 0
    assert results(tmp_path / "two") == results(tmp_path / "one")
