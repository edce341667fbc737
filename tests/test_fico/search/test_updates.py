"""Ids, removals, filters, and several threads at one index."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fico.errors import DataError, UsageError
from fico.search.exact import ExactSearch
from fico.search.faiss_index import FaissSearch
from fico.search.hamming import popcount as popcount_file
from fico.search.hamming.popcount import PopcountSearch
from fico.search.hybrid.hybrid import HybridSearch
from fico.search.item_ids import ItemIds
from fico.search.sharded.saved import load_index
from fico.search.sharded.shards import ShardedSearch

MAKERS = {
    "exact": lambda: ExactSearch("inner"),
    "popcount": lambda: PopcountSearch(32, threads=2),
    "faiss": lambda: FaissSearch("Flat", "inner", threads=1),
    "faiss lists": lambda: FaissSearch("IVF4,Flat", "inner", search_params={"nprobe": 4}, threads=1),
    "hybrid": lambda: HybridSearch("inner", 32, lists=4, nprobe=1, candidates=600, threads=2),
    "sharded": lambda: ShardedSearch(lambda: ExactSearch("inner"), 3),
}


def rows(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 40)).astype(np.float32)


@pytest.fixture(params=MAKERS)
def filled(request):
    searcher = MAKERS[request.param]()
    searcher.add(rows(300), ids=[f"item {number}" for number in range(300)])
    return searcher


def test_items_are_found_by_the_ids_they_came_with(filled):
    found = filled.search(rows(300)[:9], 5)
    assert found.indices[:, 0].tolist() == [f"item {number}" for number in range(9)]


def test_an_item_that_was_removed_and_comes_again_is_found_again(filled):
    filled.remove(["item 3"])
    assert filled.search(rows(300)[3:4], 250).indices.tolist()[0].count("item 3") == 0
    filled.add(rows(300)[3:4], ids=["item 3"])
    assert filled.search(rows(300)[3:4], 1).indices.tolist() == [["item 3"]]


def test_a_filter_finds_as_many_as_it_allows_wherever_they_lie(filled):
    allowed = [f"item {number}" for number in range(0, 300, 29)]
    found = filled.search(rows(6, seed=1), len(allowed), allowed=[*allowed, "not held"])
    assert all(set(ids) == set(allowed) for ids in found.indices.tolist())
    with pytest.raises(UsageError, match=f"k is {len(allowed) + 1}, but the index holds {len(allowed)} allowed items"):
        filled.search(rows(6), len(allowed) + 1, allowed=allowed)
    with pytest.raises(UsageError, match="none of the allowed ids"):
        filled.search(rows(6), 1, allowed=["item 300"])


def test_ids_removals_and_filters_come_back_from_a_file(filled, tmp_path):
    filled.remove(["item 0", "item 7"])
    filled.save(tmp_path / "index")
    loaded = load_index(tmp_path / "index")
    for one in (filled, loaded):
        assert "item 7" not in one.search(rows(300)[7:8], 250).indices
        with pytest.raises(DataError, match="'item 7' is not held"):
            one.remove(["item 9", "item 7"])
        assert one.search(rows(300)[9:10], 1).indices.tolist() == [["item 9"]]  # nothing was removed
    loaded.add(rows(300)[7:8], ids=["item 7"])
    assert loaded.search(rows(300)[7:8], 1).indices.tolist() == [["item 7"]]


def test_ids_that_do_not_fit_are_refused_and_nothing_is_added(filled):
    for ids, words in (
        (["x"], "1 ids for 2 items"),
        (["x", "x"], "'x' is there already"),
        (["x", "item 5"], r"'item 5' is there already; remove\(\['item 5'\]\) first"),
        ([1, 2], "not of the kind of 'item 0'"),
        (["x", 2], "neither a whole number"),
        ([-1, 2], "-1 is neither"),
        ([True, 2], "True is neither"),
        ("xy", "one str"),
    ):
        with pytest.raises(DataError, match=words):
            filled.add(rows(2), ids=ids)
    with pytest.raises(UsageError, match="with every add or with none"):
        filled.add(rows(2))
    filled.add(rows(2, seed=2), ids=["y", "z"])
    assert filled.search(rows(2, seed=2), 1).indices.tolist() == [["y"], ["z"]]


def test_numbers_count_on_after_removals_and_are_not_used_again():
    searcher = ExactSearch("inner")
    searcher.add(rows(5))
    searcher.remove(range(5))
    with pytest.raises(UsageError, match="the index is empty"):
        searcher.search(rows(1), 1)
    searcher.add(rows(2, seed=3))
    assert searcher.search(rows(2, seed=3), 1).indices.tolist() == [[5], [6]]
    with pytest.raises(DataError, match="'5' is a str, but the ids of this index are numbers"):
        searcher.search(rows(1), 1, allowed=["5"])


def test_a_filter_takes_the_sample_of_large_k_with_it():
    generator = np.random.default_rng(4)
    codes = generator.integers(0, 256, (40_000, 8), dtype=np.uint8)
    allowed = np.flatnonzero(generator.random(40_000) < 0.4)
    searcher, some = PopcountSearch(64, threads=1), PopcountSearch(64, threads=1)
    searcher.add(codes)
    some.add(codes[allowed])
    found, wanted = searcher.search(codes[:20], 150, allowed=allowed), some.search(codes[:20], 150)
    assert np.array_equal(found.scores, wanted.scores)
    assert np.array_equal(found.indices, allowed[wanted.indices])


@pytest.mark.parametrize("is_wide", [False, True])
def test_a_filter_is_exact_where_numba_does_not_search(monkeypatch, is_wide):
    if not is_wide:
        monkeypatch.setattr(popcount_file, "WIDEST", 0)
    codes = np.random.default_rng(5).integers(0, 256, (200, 80 if is_wide else 2), dtype=np.uint8)
    searcher, some = (PopcountSearch(8 * codes.shape[1]) for _ in range(2))
    searcher.add(codes)
    some.add(codes[::3])
    found, wanted = searcher.search(codes, 20, allowed=range(0, 200, 3)), some.search(codes, 20)
    assert searcher.backend == "faiss"
    assert np.array_equal(found.indices, 3 * wanted.indices)


def test_a_filter_of_few_items_is_exact_whatever_lists_are_probed():
    items = rows(2000)
    searcher, exact = HybridSearch("inner", 32, lists=20, nprobe=1, candidates=30), ExactSearch("inner")
    searcher.add(items)
    exact.add(items)
    allowed = range(0, 2000, 70)
    found, wanted = (one.search(rows(25, seed=6), 10, allowed=allowed) for one in (searcher, exact))
    assert np.array_equal(found.indices, wanted.indices)


@pytest.mark.parametrize("factory", ["Flat", "IVF4,Flat", "BFlat"])
def test_a_filter_of_the_farthest_items_is_exact_in_faiss(factory):
    is_binary, items, queries = factory == "BFlat", np.sign(rows(900)), np.sign(rows(5, seed=8))
    metric = "hamming" if is_binary else "inner"
    parameters = {"nprobe": 4} if "IVF" in factory else None
    searcher, exact = FaissSearch(factory, metric, search_params=parameters, threads=1), ExactSearch(metric)
    for one in (searcher, exact):
        one.add(items)
    farthest = exact.search(queries[:1], 900).indices[0, -30:]
    found, wanted = (one.search(queries, 20, allowed=farthest) for one in (searcher, exact))
    assert np.array_equal(found.scores, wanted.scores)


@pytest.mark.parametrize("name", MAKERS)
def test_threads_search_while_items_come_and_go(name):
    searcher, items, queries = MAKERS[name](), rows(500), rows(4, seed=7)
    searcher.add(items[:100])

    def search(_):
        found = searcher.search(queries, 50)
        assert (np.diff(found.scores.astype(float), axis=1) <= 1e-5).all()
        return found.indices

    def change(step):
        searcher.add(items[100 + 20 * step : 120 + 20 * step])
        searcher.remove(range(step, step + 1))

    with ThreadPoolExecutor(6) as pool:
        changed, found = [pool.submit(change, step) for step in range(20)], list(pool.map(search, range(30)))
    assert all(one.exception() is None for one in changed)
    assert all(len(set(ids)) == 50 for part in found for ids in part.tolist() if name != "hybrid")
    assert searcher._ids.count == 480
    assert set(range(20)).isdisjoint(searcher.search(queries, 280).indices.ravel().tolist())


def test_an_add_that_fails_half_way_is_not_searched():
    ids = ItemIds()
    with pytest.raises(OSError, match="full"), ids.changing(), ids.taking(3, None):
        raise OSError("full")
    with pytest.raises(UsageError, match="failed half-way"), ids.searching(1, None):
        pass


def test_a_searcher_travels_to_another_process():
    searcher = ExactSearch("inner")
    searcher.add(rows(5), ids=[3, 1, 4, 15, 9])
    copy = pickle.loads(pickle.dumps(searcher))
    copy.remove([3])
    assert copy.search(rows(5)[1:], 1).indices.tolist() == [[1], [4], [15], [9]]
    assert searcher.search(rows(5), 1).indices.tolist() == [[3], [1], [4], [15], [9]]
