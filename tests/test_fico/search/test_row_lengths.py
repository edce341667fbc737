"""Rows that products in float32 (or rows kept in float16) cannot compare are refused by every searcher of floats."""

import numpy as np
import pytest
import torch

from fico import ExactSearch, FaissSearch, HybridSearch
from fico.errors import DataError, UsageError
from fico.search.gpu.device import to_tensor

SEARCHERS = {
    "exact": ExactSearch,
    "flat": lambda metric: FaissSearch("Flat", metric=metric),
    "hnsw": lambda metric: FaissSearch("HNSW16", metric=metric),
    "hybrid": lambda metric: HybridSearch(metric, bits=8, lists=2),
}
ROWS = np.random.default_rng(0).standard_normal((60, 16))


@pytest.mark.parametrize("name", SEARCHERS)
@pytest.mark.parametrize("metric", ["cosine", "inner", "euclidean"])
@pytest.mark.parametrize(("scale", "dtype"), [(1e-30, "f4"), (1e-170, "f8"), (1e30, "f4"), (1e160, "f8")])
def test_lengths_that_float32_cannot_compare_are_refused(name, metric, scale, dtype):
    rows = (ROWS * scale).astype(dtype)
    with pytest.raises(DataError, match=r"row 0 of the items has length .*e[-+]\d+, but products in float32 need"):
        SEARCHERS[name](metric).add(rows)
    searcher = SEARCHERS[name](metric)
    searcher.add(ROWS)
    with pytest.raises(DataError, match="row 0 of the queries has length"):
        searcher.search(rows[:3], 2)


@pytest.mark.parametrize("name", ["exact", "flat"])
@pytest.mark.parametrize("metric", ["cosine", "inner", "euclidean"])
@pytest.mark.parametrize("scale", [1e-11, 1e16])
def test_lengths_within_the_bounds_change_no_order(name, metric, scale):
    found = []
    for factor in (1, scale):
        searcher = SEARCHERS[name](metric)
        searcher.add((ROWS * factor).astype(np.float32))
        found.append(searcher.search((ROWS[:20] * factor).astype(np.float32), 5).indices)
    assert (found[0] == found[1]).mean() > 0.98  # neighbours at nearly equal distance may swap


def test_zero_vectors_are_taken_and_the_unusual_row_is_named():
    rows = ROWS.copy()
    rows[3] = 0
    ExactSearch().add(rows)
    rows[[7, 9]] *= 1e200
    with pytest.raises(DataError, match="row 7 of the items has length"):
        ExactSearch().add(rows)
    rows[5, 2] = np.nan
    with pytest.raises(DataError, match="row 5 of the items holds NaN or infinity"):
        ExactSearch().add(rows)


def test_a_row_behind_the_first_piece_is_checked_too():
    rows = np.ones((65_540, 4), dtype=np.float32)
    for value, message in ((np.nan, "row 65538 of the items holds NaN"), (1e30, "row 65538 of the items has length")):
        rows[65_538] = value
        for add in (ExactSearch("inner").add, FaissSearch("Flat", metric="inner").add):
            with pytest.raises(DataError, match=message):
                add(rows)


def test_rows_that_float16_cannot_hold_are_refused():
    for scale in (1e6, 1e-7):
        with pytest.raises(UsageError, match="float16 holds 6e-05 to 65504"):
            HybridSearch("inner", bits=8, lists=2, rows="float16").add((ROWS * scale).astype(np.float32))


@pytest.mark.parametrize("piece", [65_536, 2])
def test_tensors_of_a_device_are_checked_as_arrays_are(piece, monkeypatch):
    monkeypatch.setattr("fico.search.gpu.device._is_elsewhere", lambda tensor: True)
    monkeypatch.setattr("fico.search.gpu.device._ROWS", piece)
    rows = torch.from_numpy(ROWS.copy())
    rows[3] = 0
    assert to_tensor(rows, "items", "cpu").dtype == torch.float32
    for value, message in ((1e160, "row 4 of the items has length"), (torch.nan, "row 4 of the items holds NaN")):
        rows[4] = value
        with pytest.raises(DataError, match=message):
            to_tensor(rows, "items", "cpu")
