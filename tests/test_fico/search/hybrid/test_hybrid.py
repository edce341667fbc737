"""Coarse to fine: exact where nothing is left out, near to exact where much is, and whole on disk."""

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from threadpoolctl import threadpool_info

from fico.codes import HashCodes
from fico.errors import DataError, UsageError
from fico.search.exact import ExactSearch
from fico.search.faiss_index import FaissSearch
from fico.search.hamming.cpu import lane_masks
from fico.search.hamming.kernel import screen
from fico.search.hamming.popcount import PopcountSearch
from fico.search.hybrid import stored_rows
from fico.search.hybrid.hybrid import HybridSearch
from fico.search.hybrid.inverted_lists import InvertedLists
from fico.search.itq import ITQ

ITEMS = 1500


@pytest.fixture(scope="module")
def data():
    """Curved data of 10 real dimensions in 70, no multiple of a vector's length, and far from the origin."""
    generator = np.random.default_rng(0)
    latent = generator.normal(size=(ITEMS + 60, 10)) @ generator.normal(size=(10, 70))
    rows = (np.sin(latent * generator.random(70)) + 2 * generator.random(70)).astype(np.float32)
    return rows[:ITEMS], rows[ITEMS:]


def built(items, **settings):
    searcher = HybridSearch(**({"metric": "inner", "bits": 32, "threads": 1} | settings))
    searcher.add(items)
    return searcher


def exact(items, queries, k, metric="inner"):
    searcher = ExactSearch(metric)
    searcher.add(items)
    return searcher.search(queries, k)


@pytest.mark.parametrize("metric", ["inner", "cosine", "euclidean"])
@pytest.mark.parametrize(
    ("rows", "share", "error"), [("float32", 1, 1e-4), ("float16", 0.95, 0.05), ("int8", 0.9, 0.2)]
)
def test_with_every_list_and_every_code_it_is_exact(data, metric, rows, share, error, untrained_itq):
    items, queries = data
    expected = exact(items, queries, 10, metric)
    searcher = built(items, metric=metric, rows=rows, nprobe=99, candidates=ITEMS, threads=2)
    found = searcher.search(queries, 10)
    assert (found.indices == expected.indices).mean() >= share
    assert np.abs(found.scores - expected.scores).max() < error


def test_few_lists_and_candidates_find_most(data):
    items, queries = data
    found = built(items, metric="euclidean", bits=64, nprobe=12, candidates=100).search(queries, 10).indices
    hits = (exact(items, queries, 10, "euclidean").indices[:, :, None] == found[:, None, :]).any(axis=2).mean()
    assert 0.8 < hits < 1


def test_projection_has_the_signs_of_the_code(data):
    items, _ = data
    itq = ITQ(32).fit(items)
    matrix, offset = itq.projection
    assert np.array_equal(np.packbits(items @ matrix.T + offset > 0, axis=1), itq.encode(items).packed())


@pytest.mark.parametrize("bits", [24, 72, 128, 256, 512])
def test_the_candidates_are_the_nearest_codes(bits, untrained_itq):
    rows = np.random.default_rng(1).normal(size=(600, max(128, bits))).astype(np.float32)
    searcher = built(rows, bits=bits, lists=5, nprobe=5, candidates=20)
    matrix, offset = searcher._projection
    codes = np.packbits(rows @ matrix.T + offset > 0, axis=1)
    oracle = ExactSearch("hamming", bits)
    oracle.add(codes)
    nearest = oracle.search(codes[:30], 20).scores[:, -1]
    for row, items in enumerate(searcher.search(rows[:30], 20).indices):
        assert (np.bitwise_count(codes[items] ^ codes[row]).sum(axis=1) <= -nearest[row]).all()


def test_the_screen_takes_the_nearest_codes_of_the_lists_and_of_equal_ones_the_first():
    generator = np.random.default_rng(5)
    words = generator.integers(0, 2**63, (700, 1), np.uint64) & np.uint64(0b1011)  # few distances, so many ties
    held = InvertedLists(6)
    held.add(HashCodes(words, 64), generator.integers(0, 5, len(words)), np.empty(0, np.float32))  # one list is empty
    held.build()
    queries, lists = words[:9].view(np.int64), np.tile([4, 5, 0, 2], (9, 1))
    scanned = np.concatenate([np.arange(held.starts[one], held.stops[one]) for one in lists[0]])
    distances = np.bitwise_count(words[held.items[scanned]] ^ words[:9].T).T
    counts = held.stops - held.starts
    for candidates in (1, 40, 100, 300, len(scanned), len(scanned) + 5):
        hits, found = np.empty((9, candidates), np.int64), np.empty(9, np.int64)
        screen(held.planes.arrays, held.starts, held.stops, counts, lane_masks(None), lists, queries, hits, found)
        nearest = np.sort(np.argsort(distances, axis=1, kind="stable")[:, :candidates], axis=1)
        assert (found == nearest.shape[1]).all()
        assert np.array_equal(hits[:, : nearest.shape[1]], scanned[nearest])


def test_equal_rows_come_in_order_of_item(data):
    items, queries = data
    searcher = built(np.repeat(items[:100], 3, axis=0), nprobe=99, candidates=300)
    groups = searcher.search(queries, 6).indices.reshape(-1, 2, 3)
    assert np.array_equal(groups - groups[:, :, :1], np.broadcast_to([0, 1, 2], groups.shape))


@pytest.mark.parametrize("rows", ["float32", "float16", "int8"])
@pytest.mark.parametrize("mapped", [False, True])
def test_a_saved_index_gives_the_same_results(data, tmp_path, rows, mapped):
    items, queries = data
    path = tmp_path / "rows.bin" if mapped else None
    searcher = built(items[:1000], rows=rows, rows_path=path, nprobe=4, candidates=40)
    searcher.search(queries, 1)
    searcher.add(items[1000:])
    before = searcher.search(queries, 10)
    searcher.save(tmp_path / "index")
    loaded = HybridSearch.load(tmp_path / "index", threads=3)
    after = loaded.search(queries, 10)
    assert np.array_equal(before.indices, after.indices)
    assert np.array_equal(before.scores, after.scores)
    assert (loaded.name, loaded.size_bytes, loaded.disk_bytes) == (
        searcher.name,
        searcher.size_bytes,
        searcher.disk_bytes,
    )
    assert loaded.disk_bytes == (items.size * np.dtype(rows).itemsize if mapped else 0)


def test_added_in_pieces_equals_added_at_once(data):
    items, queries = data
    pieces, whole = (HybridSearch("inner", 32, candidates=50, nprobe=3, threads=1) for _ in range(2))
    for searcher in (pieces, whole):
        searcher.fit(items)
    for start in range(0, ITEMS, 400):
        pieces.add(items[start : start + 400])
        pieces.search(queries[:1], 1)
    whole.add(items)
    assert np.array_equal(pieces.search(queries, 20).indices, whole.search(queries, 20).indices)


def test_places_that_the_lists_cannot_fill_are_marked(data):
    items, queries = data
    found = built(items, nprobe=1, candidates=1000).search(queries, 1000)
    assert (found.indices[:, -1] == -1).all()
    assert np.isneginf(found.scores[:, -1]).all()
    assert (found.indices[:, 0] >= 0).all()


def test_broken_files_are_refused_by_name(data, tmp_path):
    items, _ = data
    path = tmp_path / "index"
    built(items, rows_path=tmp_path / "rows.bin").save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(DataError, match=r"index.*cut off"):
        HybridSearch.load(path)
    path.write_bytes(whole)
    with safe_open(path, framework="numpy") as file:
        header, arrays = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for changed, words in (
        ({"version": "0"}, "version 0"),
        ({"kind": "other"}, "other"),
        ({"format": "x"}, "is not an index"),
    ):
        save_file(arrays, path, header | changed)
        with pytest.raises(DataError, match=words):
            HybridSearch.load(path)
    path.write_bytes(whole)
    rows = (tmp_path / "rows.bin").read_bytes()
    (tmp_path / "rows.bin").write_bytes(rows[:-1])
    with pytest.raises(DataError, match=r"rows\.bin"):
        HybridSearch.load(path)
    with pytest.raises(DataError, match="does not exist"):
        HybridSearch.load(tmp_path / "none")


def test_bad_settings_and_input_are_refused(data, tmp_path):
    items, queries = data
    wrong = [{"bits": 12}, {"bits": 1024}, {"metric": "hamming"}, {"rows": "int4"}, {"nprobe": 0}, {"train_rows": -1}]
    for settings in (*wrong, {"rows_path": tmp_path}):
        with pytest.raises(UsageError, match=next(iter(settings))):
            HybridSearch(**settings)
    with pytest.raises(UsageError, match="call add"):
        HybridSearch().search(queries, 1)
    searcher = built(items[:400], candidates=20)
    for k in (0, 401):
        with pytest.raises(UsageError, match=f"k is {k}"):
            searcher.search(queries, k)
    with pytest.raises(UsageError, match="set candidates to 21"):
        searcher.search(queries, 21)
    with pytest.raises(DataError, match="69 dimensions"):
        searcher.search(queries[:, :69], 1)
    with pytest.raises(DataError, match="69 dimensions"):
        searcher.add(items[:, :69])
    with pytest.raises(DataError, match="too few"):
        HybridSearch().add(items[:7])


def test_a_cpu_that_cannot_read_float16_is_told(data, monkeypatch):
    monkeypatch.setattr(stored_rows, "_widens_float16", lambda: False)
    with pytest.raises(UsageError, match="F16C"):
        built(data[0], rows="float16")


def test_learnt_codes_are_scanned_instead_of_itq(data, tmp_path):
    items, queries = data
    plane = np.random.default_rng(3).normal(size=(items.shape[1], 128)).astype(np.float32)
    codes, asked = (np.where((rows - items.mean(0)) @ plane > 0, 1, -1) for rows in (items, queries))
    searcher = HybridSearch("inner", 32, nprobe=99, candidates=30, threads=1)
    searcher.add(items[:900], codes=codes[:900])
    searcher.add(items[900:], codes=codes[900:])
    assert "learned128" in searcher.name
    oracle = ExactSearch("hamming", 128)
    oracle.add(codes)
    near = oracle.search(asked, 30)
    found = searcher.search(queries, 30, codes=asked)
    for row in range(len(queries)):
        distances = (codes[found.indices[row]] != asked[row]).sum(axis=1)
        assert sorted(distances) == sorted(-near.scores[row])  # the candidates are the nearest codes of the model
    searcher.save(tmp_path / "index")
    loaded = HybridSearch.load(tmp_path / "index")
    assert np.array_equal(loaded.search(queries, 30, codes=asked).indices, found.indices)


def test_learnt_codes_go_with_all_items_and_queries_or_with_none(data):
    items, queries = data
    with_codes, without = (HybridSearch("inner", 32, threads=1) for _ in range(2))
    codes = np.where(items[:, :16] > items[:, :16].mean(), 1, -1)
    with_codes.add(items, codes=codes)
    without.add(items)
    for call in (lambda: with_codes.add(items), lambda: with_codes.search(queries, 1)):
        with pytest.raises(UsageError, match="a model's codes of 16 bits"):
            call()
    with pytest.raises(UsageError, match="its own codes"):
        without.search(queries, 1, codes=codes[: len(queries)])
    with pytest.raises(DataError, match="there are 5 codes for 60 queries"):
        with_codes.search(queries, 1, codes=codes[:5])
    with pytest.raises(UsageError, match="8 columns"):
        with_codes.search(queries, 1, codes=codes[: len(queries), :8])


@pytest.mark.parametrize(
    "make", [lambda: PopcountSearch(32), lambda: FaissSearch("BFlat", bits=32), lambda: HybridSearch(bits=32)]
)
def test_itq_learns_from_both_sides_where_they_are_given(make, data):
    # The queries lie elsewhere, and spread where the items do not: a code of the items alone cannot tell them apart.
    generator = np.random.default_rng(4)
    items = np.concatenate([generator.normal(size=(800, 32)), np.zeros((800, 32))], axis=1).astype(np.float32)
    queries = np.concatenate([np.zeros((800, 32)), generator.normal(size=(800, 32)) + 3], axis=1).astype(np.float32)
    alone, both = make().fit(items), make().fit(items, queries=queries)

    def spread(searcher):
        hybrid = isinstance(searcher, HybridSearch)
        matrix = (searcher._projection if hybrid else searcher._encoder.itq.projection)[0]
        return np.abs(matrix[:, 32:]).mean()

    assert spread(alone) < 1e-3 < 0.01 < spread(both)
    with pytest.raises(DataError, match="dimensions"):
        make().fit(items, queries=queries[:, :9])


def test_each_of_its_threads_multiplies_alone(monkeypatch):
    items = np.random.default_rng(0).standard_normal((300, 16)).astype(np.float32)
    searcher = HybridSearch(bits=16, lists=4, candidates=20, threads=1)
    searcher.fit(items, len(items))
    searcher.add(items)
    inside, search_tile = [], searcher._held._search_tile

    def watched(*given):
        used = [library for library in threadpool_info() if "numpy" in library["filepath"]]  # others may come later
        inside.extend(library["num_threads"] for library in used if library["user_api"] == "blas")
        search_tile(*given)

    monkeypatch.setattr(searcher._held, "_search_tile", watched)
    searcher.search(items[:3], 2)
    assert inside
    assert set(inside) == {1}


def test_a_refused_add_leaves_the_index_as_it_was(data):
    items, _ = data
    searcher = HybridSearch("inner", bits=32, candidates=20, threads=1)
    with pytest.raises(DataError, match="too few"):
        searcher.add(items[:4])
    assert searcher.bits == 32
    with pytest.raises(DataError, match="each row needs its code"):
        searcher.add(items, codes=np.ones((3, 16), np.int8))
    searcher.add(items)
    fresh = HybridSearch("inner", bits=32, candidates=20, threads=1)
    fresh.add(items)
    assert np.array_equal(searcher.search(items[:9], 5).indices, fresh.search(items[:9], 5).indices)


def test_more_candidates_than_items_are_all_items(data):
    items, queries = data
    found = built(items[:50], bits=16, lists=1, candidates=10**9).search(queries, 50)
    assert np.array_equal(np.sort(found.indices, axis=1), np.tile(np.arange(50), (len(queries), 1)))


def test_rows_that_are_no_numbers_are_refused(data):
    items, queries = data
    searcher = built(items)
    for broken in (np.nan, np.inf):
        wrong = items.copy()
        wrong[7, 2] = broken
        with pytest.raises(DataError, match="row 7 of the items holds NaN"):
            HybridSearch(bits=32).add(wrong)
        wrong = queries.copy()
        wrong[1, 0] = broken
        with pytest.raises(DataError, match="row 1 of the queries holds NaN"):
            searcher.search(wrong, 1)
