"""Shared by the tests of a trained model in use: one short training of every kind of model, in one process."""

import os
import shutil

import pytest
from filelock import FileLock

from fico.datasets.shapes.shapes import Shapes

# Encoders of words, of one vector a text, of pixels; codes; pair scorers; re-rankers of both rules.
MODELS = ("vsrn", "scan", "imram", "cca", "ucch", "dadh", "adv", "xvlm", "blip2", "beit3", "clip")
IMAGES = 30
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SMALL = (f"dataset.images={IMAGES}", "model.epochs=1", "index=[]", "metric.bootstrap=2", "logger=none")


@pytest.fixture(scope="session")
def runs(tmp_path_factory, warm_python):
    """Folder of each model's run."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return _trained(tmp_path_factory.mktemp("runs"), warm_python)
    shared = tmp_path_factory.getbasetemp().parent  # of the processes of this session, which train once between them
    with FileLock(shared / "runs.lock"):
        return _trained(shared / "runs", warm_python)


def _trained(folder, warm_python):
    found = {name: folder / name for name in MODELS}
    if all((run / "results.json").exists() for run in found.values()):
        return found
    sweep = ("-m", f"model={','.join(MODELS)}", *SMALL, f"hydra.sweep.dir={folder}", "hydra.sweep.subdir=${model.name}")
    done = warm_python("run.py", *sweep, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    return found


@pytest.fixture(scope="session")
def tested(runs):
    """The split that the runs were tested on."""
    return Shapes(images=IMAGES).split("test")


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium, where one and Playwright (extra ``browser``) are installed."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright (extra browser) is not installed")
    path = os.environ.get("FICO_CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM)), None)
    with sync_api.sync_playwright() as play:
        try:
            opened = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except sync_api.Error as error:
            pytest.skip(f"no Chromium can be started ({str(error).splitlines()[0]})")
        yield opened
        opened.close()
