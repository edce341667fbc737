"""Shared by the tests of a trained model in use: one short training of every kind of model, in one process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from fico.datasets.shapes.shapes import Shapes

ROOT = Path(__file__).resolve().parents[2]
# Encoders of words, of one vector a text, of pixels; codes; pair scorers; re-rankers of both rules.
MODELS = ("vsrn", "scan", "imram", "cca", "ucch", "dadh", "adv", "xvlm", "blip2", "beit3", "clip")
IMAGES = 30
SMALL = (f"dataset.images={IMAGES}", "model.epochs=1", "index=[]", "metric.bootstrap=2", "logger=none")


@pytest.fixture(scope="session")
def runs(tmp_path_factory, own_cache):
    """Folder of each model's run."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return _trained(tmp_path_factory.mktemp("runs"))
    shared = tmp_path_factory.getbasetemp().parent  # of the processes of this session, which train once between them
    with FileLock(shared / "runs.lock"):
        return _trained(shared / "runs")


def _trained(folder):
    found = {name: folder / name for name in MODELS}
    if all((run / "results.json").exists() for run in found.values()):
        return found
    sweep = ("-m", f"model={','.join(MODELS)}", *SMALL, f"hydra.sweep.dir={folder}", "hydra.sweep.subdir=${model.name}")
    done = subprocess.run(
        [sys.executable, ROOT / "run.py", *sweep],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return found


@pytest.fixture(scope="session")
def tested(runs):
    """The split that the runs were tested on."""
    return Shapes(images=IMAGES).split("test")
