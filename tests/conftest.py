"""Shared by all tests: nothing of a test lands in the user's cache or on a terminal."""

import gc
import os
import re
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy and PyTorch are loaded: there is a process per core

import numpy as np
import pytest

from tests.parsed_once import parse_once
from tests.shape_checks import check_shapes
from tests.warm_python import WarmPython

ROOT = Path(__file__).resolve().parents[1]
# Shapes in signatures are checked; not in fico.metrics.kernels, whose functions numba compiles.
METRICS = [f"fico.metrics.{path.stem}" for path in sorted((ROOT / "fico" / "metrics").glob("[!_]*.py"))]
# Begun first: one that trains the `runs` for which others would wait, then those of most minutes, so that at the end no
# process is left alone with one of them.
FIRST = (
    "test_run_embeddings.py",
    "test_docs.py",
    "test_run_whole.py",
    "test_quality.py",
    "test_kills.py",
    "test_fuzz.py",
    "test_pareto.py",
    "test_backends.py",
    "test_conf_bench.py",
)
check_shapes(["fico.networks", "fico.losses", "fico.types", *METRICS])
parse_once()

os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in run.py
os.environ["FICO_PARITY_DIR"] = os.environ.get("FICO_PARITY_DIR") or str(ROOT.parent / "shared" / "parity")


def pytest_configure(config):
    """Tests that are not marked ``gpu`` see no GPU, so that the same set passes on any machine."""
    if "not gpu" in config.option.markexpr:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # also of the processes that tests start; read at CUDA's first use
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "" or not Path("/dev/nvidia0").exists():
        os.environ.setdefault("TRITON_INTERPRET", "1")  # read when a kernel is defined, at its import


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """One cache for the whole session, so that the scenes are drawn once and the user's own stays as it was."""
    is_parallel = "PYTEST_XDIST_WORKER" in os.environ  # then the processes' folders have a parent of this session
    folder = tmp_path_factory.getbasetemp().parent / "cache" if is_parallel else tmp_path_factory.mktemp("cache")
    os.environ["FICO_CACHE_DIR"] = str(folder)


@pytest.fixture(scope="session")
def warm_python(own_cache):
    """Runs a script of the project in a process that has the frameworks imported already."""
    python = WarmPython()
    yield python
    python.close()


@pytest.fixture(scope="session")
def data_dir():
    """Folder of the small real data sets; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("FICO_DATA_DIR", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder} (FICO_DATA_DIR)")
    return folder


@pytest.fixture
def untrained_itq(monkeypatch):
    """Random rotations in place of the training of ITQ, a minute at 512 bits: any codes serve to test a search."""
    from fico.search.itq import ITQ

    def fit(itq, *rows):
        square = np.random.default_rng(itq.bits).normal(size=(rows[0].shape[1], rows[0].shape[1]))
        itq._matrix = np.linalg.qr(square)[0][: itq.bits].astype(np.float32)
        itq._offset = np.zeros(itq.bits, np.float32)
        return itq

    monkeypatch.setattr(ITQ, "fit", fit)


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Let the garbage collector pass over the frameworks and the tests, which stay; it took a tenth of all time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items):
    """Put those files first."""
    rank = {name: position for position, name in enumerate(FIRST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


def pytest_terminal_summary(terminalreporter):
    """Say how many parity cases ran, from where, and what was skipped and why."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    for line in (*_parity_lines([report.nodeid for report in reports]), *_skip_lines(terminalreporter.stats)):
        terminalreporter.write_line(line)


def _parity_lines(nodes):
    """One line per source of reference cases; none where no parity test ran."""
    ids = {match.groups() for node in nodes if (match := re.search(r"parity/.*\[(shipped|folder)-(\w+-\w+)", node))}
    if not ids:
        return
    counts, folder = Counter(source for source, _ in ids), os.environ["FICO_PARITY_DIR"]
    yield f"parity: {counts['shipped']} cases of tests/parity/cases"
    if Path(folder).exists():
        yield f"parity: {counts['folder']} further cases of {folder} (FICO_PARITY_DIR)"
    else:
        yield f"parity: {folder} (FICO_PARITY_DIR) is absent, so no further cases ran"


def _skip_lines(stats):
    """One line per reason, the most frequent first."""
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in stats.get("skipped", []))
    for reason, count in reasons.most_common():
        yield f"skipped {count}: {reason}"
