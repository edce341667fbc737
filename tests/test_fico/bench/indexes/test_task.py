"""The task's own metrics through an index."""

from functools import partial

import numpy as np
import pytest

from fico.bench.indexes.comparison import compare_indexes
from fico.bench.indexes.task import TaskMetrics
from fico.evaluation.evaluate import evaluate
from fico.search.exact import ExactSearch
from fico.search.faiss_index import FaissSearch
from fico.search.hamming.popcount import PopcountSearch
from fico.search.hybrid.hybrid import HybridSearch
from fico.types import Correspondence, Ranking

IMAGES, CAPTIONS, DIM = 130, 300, 32


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    images = generator.normal(size=(IMAGES, DIM)).astype(np.float32)
    owners = generator.integers(0, IMAGES, CAPTIONS)  # unequal numbers; some images have no caption
    texts = (images[owners] + 1.5 * generator.normal(size=(CAPTIONS, DIM))).astype(np.float32)
    labels = generator.random((IMAGES, 6)) < 0.2  # some share nothing
    return images, texts, Correspondence(owners), labels


@pytest.mark.parametrize("ap", ["hits", "min_k_r", "r"])
@pytest.mark.parametrize("empty", ["zero", "skip"])
def test_through_a_flat_index_the_task_is_what_the_evaluation_says(data, ap, empty):
    images, texts, pairs, labels = data
    wanted = evaluate(
        images, texts, pairs, labels=labels, similarity="cosine", ties="index", ap=ap, empty=empty, bootstrap=1
    )
    judge = TaskMetrics(pairs, IMAGES, labels, ap=ap, empty=empty)
    for row in compare_indexes(images, texts, {"flat": FaissSearch}, judge=judge, budget_seconds=0.01):
        assert set(row["task"]) == {"R@1", "R@5", "R@10", "mAP@10", "mAP@100"}
        for name, value in row["task"].items():
            task = "instance" if name.startswith("R@") else "category"
            assert value == pytest.approx(wanted.metrics[f"{task}/{row['direction']}/{name}"]), name


def test_codes_with_ties_are_judged_in_the_order_of_the_index(data):
    images, texts, pairs, labels = data
    codes = [np.sign(side[:, :8]) for side in (images, texts)]
    wanted = evaluate(*codes, pairs, labels=labels, similarity="hamming", ties="index", bootstrap=1)
    judge = TaskMetrics(pairs, IMAGES, labels)
    makers = {"exact": lambda: ExactSearch("hamming"), "popcount": PopcountSearch}
    for row in compare_indexes(*codes, makers, similarity="hamming", bits=8, judge=judge, budget_seconds=0.01):
        for name, value in row["task"].items():
            task = "instance" if name.startswith("R@") else "category"
            assert value == pytest.approx(wanted.metrics[f"{task}/{row['direction']}/{name}"]), name


def test_places_that_an_index_left_empty_are_no_hits():
    judge = TaskMetrics(Correspondence([0, 1]), 2, np.ones((2, 1), bool))
    nothing = Ranking(np.zeros((2, 2)), np.full((2, 2), -1))
    assert set(judge("t2i", nothing).values()) == {0.0}


def test_a_cut_beyond_the_ranking_is_left_out_unless_it_holds_everything():
    judge = TaskMetrics(Correspondence(np.arange(30)), 30)
    for places, cuts in ((5, {"R@1", "R@5"}), (30, {"R@1", "R@5", "R@10"})):
        found = np.tile(np.arange(places), (30, 1))
        assert set(judge("i2t", Ranking(found, found))) == cuts


def test_codes_are_learnt_from_the_items_and_from_both_sides(data):
    images, texts, _, _ = data
    shifted = texts + 3  # as far apart as two kinds of data can be
    makers = {
        "flat": FaissSearch,
        "binary": lambda itq=None: FaissSearch("BFlat", bits=16, itq=itq),
        "popcount": lambda itq=None: PopcountSearch(16, itq=itq),
        "hybrid": lambda: HybridSearch(bits=16, candidates=100),
    }
    rows = compare_indexes(images, shifted, makers, both_sides=True, ks=(1, 10), budget_seconds=0.01)
    for direction in ("i2t", "t2i"):
        own = {row["index"]: row for row in rows if row["direction"] == direction}
        assert list(own) == ["flat", "binary", "binary/both", "popcount", "popcount/both", "hybrid", "hybrid/both"]
        assert "fit_on" not in own["flat"]
        for name in ("binary", "popcount", "hybrid"):
            assert (own[name]["fit_on"], own[f"{name}/both"]["fit_on"]) == ("items", "both")
            assert own[name]["settings"] == own[f"{name}/both"]["settings"]
        assert own["binary"]["overlap_at_k"] != own["binary/both"]["overlap_at_k"]


def test_floats_as_wide_as_the_codes_are_long_are_no_codes(data):
    images, texts, _, _ = data
    makers = {
        "popcount": lambda itq=None: PopcountSearch(DIM, itq=itq),
        "binary": partial(FaissSearch, "BFlat", bits=DIM),
    }
    for row in compare_indexes(images, texts, makers, budget_seconds=0.01):
        assert f"itq{DIM}" in row["settings"]


def test_codes_that_a_model_made_are_taken_as_they_are(data):
    codes = [np.sign(side) for side in data[:2]]
    rows = compare_indexes(
        *codes,
        {"b": lambda: FaissSearch("BFlat")},
        similarity="hamming",
        bits=DIM,
        both_sides=True,
        budget_seconds=0.01,
    )
    assert [row["index"] for row in rows] == ["b", "b"]


def test_against_a_database_an_index_is_judged_as_the_evaluation_does(data):
    images, texts, pairs, labels = data
    searched = pairs.with_database(range(30, IMAGES))
    wanted = evaluate(images, texts, searched, labels=labels, similarity="cosine", ties="index", bootstrap=0)
    rows = searched.searched(IMAGES)
    sides, database = (images[rows["i2t"][0]], texts[rows["t2i"][0]]), (images[rows["t2i"][1]], texts[rows["i2t"][1]])
    judge = TaskMetrics(searched, IMAGES, labels, recall=False)
    for row in compare_indexes(*sides, {"flat": FaissSearch}, judge=judge, budget_seconds=0.01, database=database):
        assert set(row["task"]) == {"mAP@10", "mAP@100"}
        for name, value in row["task"].items():
            assert value == pytest.approx(wanted.metrics[f"category/{row['direction']}/{name}"]), name
