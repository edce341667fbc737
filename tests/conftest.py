"""Shared by all tests: nothing of a test lands in the user's cache or on a terminal."""

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

ROOT = Path(__file__).resolve().parents[1]
# Shapes in signatures are checked; not in fico.metrics.kernels, whose functions numba compiles.
METRICS = [
    f"fico.metrics.{path.stem}"
    for path in sorted((ROOT / "fico" / "metrics").glob("[!_]*.py"))
    if path.stem != "options"  # its own sentences refuse values of another type
]
install_import_hook(["fico.networks", "fico.losses", "fico.types", *METRICS], "beartype.beartype")

os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in run.py


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """One cache for the whole session, so that the scenes are drawn once and the user's own stays as it was."""
    os.environ["FICO_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def data_dir():
    """Folder of the small real data sets; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("FICO_DATA_DIR", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder} (FICO_DATA_DIR)")
    return folder
