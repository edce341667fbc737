"""Shared by the tests of the page: runs of floats, codes, pair scores and re-ranking, side by side."""

import pytest

import fico
from fico.serve.service import SearchService


@pytest.fixture(scope="session")
def loaded(runs):
    return [fico.load_run(runs[name]) for name in ("vsrn", "ucch", "scan", "xvlm")]


@pytest.fixture(scope="session")
def service(loaded):
    return SearchService(loaded, None, shown=3, report=pytest.fail)
