"""One shard and n shards give the same: scores, items and the order of ties."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from fico.errors import DataError, UsageError
from fico.search.exact import ExactSearch
from fico.search.faiss_index import FaissSearch
from fico.search.hamming.popcount import PopcountSearch
from fico.search.hybrid.hybrid import HybridSearch
from fico.search.id_ranges import IdRanges
from fico.search.rows_file import rows_file
from fico.search.sharded.shards import ShardedSearch

WIDTHS = (8, 16, 24, 64, 72, 128, 256, 512, 640)


def random_codes(rows, bits, seed, kinds=None):
    generator = np.random.default_rng(seed)
    codes = generator.integers(0, 256, (kinds or rows, bits // 8), dtype=np.uint8)
    return codes if kinds is None else codes[generator.integers(0, kinds, rows)]


def assert_same(found, wanted):
    assert np.array_equal(found.scores, wanted.scores)
    assert np.array_equal(found.indices, wanted.indices)


def filled(searcher, *blocks):
    for block in blocks:
        searcher.add(block)
    return searcher


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("kinds", [None, 6])
@pytest.mark.parametrize("make", [lambda bits: PopcountSearch(bits, 1), lambda bits: ExactSearch("hamming", bits)])
def test_shards_of_codes_equal_one_index(bits, kinds, make):
    items, queries = random_codes(90, bits, 1, kinds), random_codes(7, bits, 2)
    whole = filled(make(bits), items)
    for shards in (1, 2, 5, 100):  # 100: more shards than items
        sharded = filled(ShardedSearch(lambda: make(bits), shards), items[:40], items[40:43], items[43:])
        for k in (1, 30, 90):
            assert_same(sharded.search(queries, k), whole.search(queries, k))


@pytest.mark.parametrize("similarity", ["inner", "euclidean", "cosine"])
def test_shards_of_floats_equal_one_index(similarity):
    generator = np.random.default_rng(3)
    # Few whole numbers: products are exact and most of them tie.
    items = generator.integers(-2, 3, (400, 6)).astype(np.float32) + np.float32(3)
    items = items if similarity != "cosine" else generator.normal(size=(400, 6)).astype(np.float32)
    whole = filled(ExactSearch(similarity), items)
    for shards in (1, 3, 7):
        sharded = filled(ShardedSearch(lambda: ExactSearch(similarity), shards), items[:150], items[150:])
        found, wanted = sharded.search(items[:20], 60), whole.search(items[:20], 60)
        assert np.array_equal(found.indices, wanted.indices)
        assert np.allclose(found.scores, wanted.scores, atol=1e-6, rtol=0)
        assert similarity == "cosine" or np.array_equal(found.scores, wanted.scores)


def test_what_is_learnt_is_learnt_once_from_all_items():
    items = np.random.default_rng(4).normal(size=(500, 24)).astype(np.float32)
    whole, sharded = PopcountSearch(16, 1), ShardedSearch(lambda: PopcountSearch(16, 1), 4)
    assert_same(filled(sharded, items).search(items[:9], 30), filled(whole, items).search(items[:9], 30))
    assert sharded.name == "4 x popcount(itq16)"


def test_coarse_to_fine_shards_find_at_least_as_much(tmp_path):
    items = np.random.default_rng(5).normal(size=(2000, 32)).astype(np.float32)
    settings = {"metric": "inner", "bits": 32, "nprobe": 3, "candidates": 40, "threads": 1}
    exact = filled(ExactSearch("inner"), items).search(items[:50], 10).indices
    makers = (
        lambda: HybridSearch(**settings),
        lambda: ShardedSearch(lambda: HybridSearch(**settings, rows_path=tmp_path / "rows"), 3),
    )
    found = [filled(make(), items).search(items[:50], 10).indices for make in makers]
    hits = [(exact[:, :, None] == part[:, None, :]).any(axis=2).mean() for part in found]
    assert hits[1] >= hits[0] > 0.2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.1", "rows.2", "rows.3"]


@pytest.mark.parametrize("factory", ["Flat", "BFlat", "IVF5,Flat", "BIVF5"])
def test_faiss_shards_in_one_process_equal_one_index(factory):
    codes = factory.startswith("B")
    items = random_codes(600, 64, 6) if codes else np.random.default_rng(6).normal(size=(600, 16)).astype(np.float32)
    settings = {"bits": 64 if codes else None, "search_params": {"nprobe": 5} if "IVF" in factory else None}
    whole = filled(FaissSearch(factory, "inner", **settings), items)
    sharded = filled(FaissSearch(factory, "inner", **settings, shards=3), items[:200], items[200:202], items[202:])
    for k in (1, 40, 600):
        found, wanted = sharded.search(items[:11], k), whole.search(items[:11], k)
        assert np.allclose(found.scores, wanted.scores, atol=1e-5)
        if not codes:  # equal distances come in any order
            assert np.array_equal(found.indices, wanted.indices)
        chosen = np.sort(found.indices, axis=1)
        assert (np.diff(chosen, axis=1) > 0).all()
    sizes = [searcher.size_bytes for searcher in (whole, sharded)]
    assert sizes[0] <= sizes[1] < 2 * sizes[0]


def test_shards_that_were_not_saved_to_the_end_are_no_index(tmp_path, monkeypatch):
    items = np.random.default_rng(8).normal(size=(30, 8)).astype(np.float32)
    sharded = filled(ShardedSearch(lambda: ExactSearch("inner"), 3), items)
    sharded.save(tmp_path / "saved")
    monkeypatch.delattr(sharded._shards[1], "_items")  # what is left of it cannot be saved
    with pytest.raises(AttributeError):
        sharded.save(tmp_path / "saved")
    with pytest.raises(DataError, match=r"shards\.index"):  # not the first with parts of the second
        ShardedSearch.load(tmp_path / "saved")


def test_mapped_rows_are_distributed_where_they_lie(tmp_path):
    items = np.random.default_rng(7).normal(size=(300, 8)).astype(np.float32)
    np.save(tmp_path / "items.npy", items)
    save_file({"labels": np.ones(3), "images": items}, tmp_path / "images.safetensors")
    wanted = filled(ExactSearch("inner"), items).search(items[:5], 20)
    for path in (tmp_path / "items.npy", tmp_path / "images.safetensors"):
        mapped = rows_file(path).open()
        sharded = filled(ShardedSearch(lambda: ExactSearch("inner"), 4), mapped)
        assert_same(sharded.search(items[:5], 20), wanted)
        held = sharded._shards[2]._items[0]
        assert np.shares_memory(held, mapped)


def test_a_file_named_from_here_is_found_from_another_folder(tmp_path, monkeypatch):
    np.save(tmp_path / "items.npy", np.ones((4, 2)))
    monkeypatch.chdir(tmp_path)
    rows = rows_file("items.npy")
    monkeypatch.chdir("/")  # as a process on another machine stands elsewhere
    assert rows.open().shape == (4, 2)
    (tmp_path / "items.npy").unlink()
    with pytest.raises(DataError, match=r"items\.npy does not exist here"):
        rows.open()


def test_files_that_cannot_be_mapped_are_named(tmp_path):
    np.save(tmp_path / "flat.npy", np.ones(5))
    save_file({"images": np.ones((3, 2))}, tmp_path / "images.safetensors")
    np.save(tmp_path / "cut.npy", np.ones((50, 4)))
    with (tmp_path / "cut.npy").open("r+b") as file:
        file.truncate(900)
    for call, words in (
        (lambda: rows_file(tmp_path / "none.npy"), r"none\.npy does not exist"),
        (lambda: rows_file(tmp_path / "flat.npy"), r"flat\.npy holds no matrix"),
        (lambda: rows_file(tmp_path / "cut.npy"), r"cut\.npy holds no matrix"),
        (lambda: rows_file(tmp_path / "images.safetensors", "texts"), r"no array 'texts' among images"),
    ):
        with pytest.raises(DataError, match=words):
            call()


def test_ids_of_shards_and_of_the_whole_fit_together():
    ranges, seen = IdRanges(3), [[], [], []]
    for items in (7, 1, 2, 11):
        first = ranges.total
        for shard, part in enumerate(ranges.distribute(items)):
            seen[shard] += range(first + part.start, first + part.stop)
    assert sorted(sum(seen, [])) == list(range(21))
    for shard in range(3):
        assert ranges.to_whole(shard, np.arange(len(seen[shard]))).tolist() == seen[shard]
        assert ranges.to_whole(shard, np.array([[-1, 0]])).tolist() == [[-1, seen[shard][0]]]


def test_bad_input_is_refused_and_half_an_add_is_not_searched():
    with pytest.raises(UsageError, match="shards is 0"):
        ShardedSearch(ExactSearch, 0)
    with pytest.raises(UsageError, match="shards is 0"):
        FaissSearch(shards=0)
    sharded = ShardedSearch(lambda: ExactSearch("inner"), 2)
    items = np.ones((10, 3), np.float32)
    with pytest.raises(UsageError, match="call add"):
        sharded.search(items, 1)
    sharded.add(items)
    with pytest.raises(UsageError, match="k is 11.*10 items"):
        sharded.search(items, 11)
    broken = items.copy()
    broken[9] = np.nan
    with pytest.raises(DataError, match="NaN"):
        sharded.add(broken)
    for call in (lambda: sharded.search(items, 1), lambda: sharded.add(items)):
        with pytest.raises(UsageError, match="half-way"):
            call()
