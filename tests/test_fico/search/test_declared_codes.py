"""Hash codes are declared by `bits=`, by the metric or as `HashCodes`; no value of a row makes it a code."""

import numpy as np
import pytest

from fico.errors import DataError, UsageError
from fico.search.exact import ExactSearch
from fico.search.faiss_index import FaissSearch
from fico.search.hamming.popcount import PopcountSearch


def bag_of_words(rows, seed):
    values = (np.random.default_rng(seed).random((rows, 40)) < 0.06).astype(np.float32)
    values[values.sum(axis=1) == 0, 0] = 1
    return values


def bits(rows, width, seed):
    return np.random.default_rng(seed).random((rows, width)) > 0.5


@pytest.mark.parametrize("metric", ["cosine", "inner", "euclidean"])
def test_float_rows_of_zero_and_one_stay_floats(metric):
    items, queries = bag_of_words(500, 0), bag_of_words(30, 1)
    exact, faiss = ExactSearch(metric), FaissSearch("Flat", metric=metric, threads=1)
    for searcher in (exact, faiss):
        searcher.add(items)
    found, wanted = faiss.search(queries, 5), exact.search(queries, 5)
    np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-3)


@pytest.mark.parametrize("make", [PopcountSearch, lambda: FaissSearch("BFlat")])
def test_float_rows_of_zero_and_one_are_binarised_like_any_floats(make):
    searcher = make()
    searcher.add(bag_of_words(500, 0))
    assert "itq" in searcher.name


@pytest.mark.parametrize("make", [PopcountSearch, lambda: FaissSearch("BFlat"), lambda: ExactSearch("hamming")])
def test_packed_codes_without_their_length_are_refused(make):
    with pytest.raises(DataError, match="packed codes need bits="):
        make().add(np.packbits(bits(300, 64, 0), axis=1))


@pytest.mark.parametrize("factory", ["BFlat", "Flat"])
@pytest.mark.parametrize("form", [np.int8, np.float32, bool])
def test_the_hamming_metric_of_faiss_declares_codes(factory, form):
    items, queries = bits(300, 64, 0).astype(form), bits(20, 64, 1).astype(form)
    searcher, oracle = FaissSearch(factory, metric="hamming", threads=1), ExactSearch("hamming")
    for one in (searcher, oracle):
        one.add(items)
    assert np.array_equal(searcher.search(queries, 300).scores, oracle.search(queries, 300).scores)


def test_declared_codes_of_another_value_are_refused():
    for make in (
        lambda: PopcountSearch(16),
        lambda: FaissSearch("BFlat", bits=16),
        lambda: FaissSearch("Flat", bits=16),
    ):
        with pytest.raises(DataError, match=r"items row 0 holds 0\.5 at bit 0"):
            make().add(np.full((30, 16), 0.5, np.float32))


def test_a_float_index_that_awaits_codes_refuses_rows_of_another_width():
    with pytest.raises(UsageError, match="bits=16 does not fit items with 24 columns"):
        FaissSearch("Flat", bits=16).add(np.ones((30, 24), np.float32))
