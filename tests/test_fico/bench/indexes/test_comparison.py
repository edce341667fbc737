"""The comparison of indexes and the data of Table 7."""

from functools import partial

import numpy as np
import pytest

from fico.bench.indexes.comparison import compare_indexes
from fico.bench.recall import recalls
from fico.bench.synthetic import SyntheticBlocks
from fico.bench.table7.table7 import Table7
from fico.bench.timing import timed
from fico.bench.truth import exact_by_stream, recalls_by_item
from fico.errors import UsageError
from fico.search.exact import ExactSearch
from fico.search.faiss_index import FaissSearch
from fico.search.hamming.popcount import PopcountSearch
from fico.types import Ranking
from fico.util import resources


def embeddings(images=60, captions=150, dim=32):
    generator = np.random.default_rng(0)
    base = generator.normal(size=(images, dim)).astype(np.float32)
    owner = generator.integers(0, images, captions)
    return base, base[owner] + 0.1 * generator.normal(size=(captions, dim)).astype(np.float32)


def test_an_exact_index_has_full_recall_in_both_directions():
    images, texts = embeddings()
    makers = {"flat": FaissSearch, "codes": partial(PopcountSearch, 16)}
    rows = compare_indexes(images, texts, makers, ks=(1, 5, 100), budget_seconds=0.01)
    assert [(row["index"], row["direction"]) for row in rows] == [
        (index, direction) for direction in ("i2t", "t2i") for index in makers
    ]
    assert [(row["queries"], row["items"], row["k"]) for row in rows] == [(60, 150, 100)] * 2 + [(150, 60, 60)] * 2
    for flat in rows[::2]:
        assert set(flat["top1_in_k"].values()) | set(flat["overlap_at_k"].values()) == {1.0}
    for codes in rows[1::2]:
        assert codes["overlap_at_k"][5] < 1
        assert codes["index_bytes"] > 0
        assert codes["search_seconds"] > 0


def test_queries_search_a_database_that_is_given():
    images, texts = embeddings()
    sides, database = (images[:10], texts[:20]), (images[10:], texts[20:])
    rows = compare_indexes(*sides, {"flat": FaissSearch}, ks=(1,), budget_seconds=0.01, database=database)
    assert [(row["queries"], row["items"]) for row in rows] == [(10, 130), (20, 50)]
    assert [row["top1_in_k"][1] for row in rows] == [1.0, 1.0]


def test_an_index_that_cannot_hold_the_embeddings_is_left_out_and_the_others_are_compared(caplog):
    images, texts = embeddings(dim=5)
    makers = {"flat": FaissSearch, "codes": PopcountSearch, "broken": partial(FaissSearch, "Nonsense")}
    rows = compare_indexes(images, texts, makers, ks=(1, 5), budget_seconds=0.01)
    assert [(row["index"], row["direction"]) for row in rows] == [("flat", "i2t"), ("flat", "t2i")]
    assert "index codes is left out of i2t: 150 items of 5 dimensions are too few for a code" in caplog.text
    assert "index broken is left out of t2i: " in caplog.text
    assert compare_indexes(images, texts, {"codes": PopcountSearch}) == []


@pytest.mark.parametrize("packed", [False, True])
def test_ties_of_codes_cost_no_recall(packed):
    generator = np.random.default_rng(1)
    images, texts = (np.sign(generator.normal(size=(n, 8))).astype(np.float32) for n in (40, 200))
    given = [np.packbits(side > 0, axis=1) if packed else side for side in (images, texts)]
    makers = {"float": FaissSearch, "faiss": partial(FaissSearch, "BFlat"), "popcount": PopcountSearch}
    for row in compare_indexes(*given, makers, similarity="hamming", bits=8, ks=(1, 7), budget_seconds=0.01):
        assert set(row["overlap_at_k"].values()) == {1.0}, row["index"]


def test_the_two_recalls_differ_as_defined():
    exact = np.array([[9.0, 8, 7, 6], [9, 8, 7, 6]])
    found = np.array([[8.0, 9, 1, 1], [8, 7, 7, 6]])
    top1, overlap = recalls(found, exact, (1, 2, 4))
    assert top1 == {1: 0.0, 2: 0.5, 4: 0.5}
    assert overlap == {1: 0.0, 2: 0.75, 4: 0.75}


def test_recall_by_item_equals_recall_by_score_without_ties():
    generator = np.random.default_rng(2)
    queries, items = generator.normal(size=(20, 6)), generator.normal(size=(80, 6))
    exact, rough = ExactSearch("inner"), FaissSearch("IVF8,Flat", "inner")
    for searcher in (exact, rough):
        searcher.add(items)
    true, found = exact.search(queries, 10), rough.search(queries, 10)
    got = np.where(found.indices < 0, -np.inf, found.scores)
    assert recalls_by_item(found, true.indices, (1, 10)) == recalls(got, true.scores, (1, 10), 1e-4)
    nothing = Ranking(found.scores, np.full_like(found.indices, -1))
    assert recalls_by_item(nothing, true.indices, (1, 10)) == ({1: 0.0, 10: 0.0}, {1: 0.0, 10: 0.0})


@pytest.mark.parametrize("train", [0, 37])
def test_synthetic_blocks_are_those_of_faiss_bit_by_bit(train):
    from faiss.contrib.datasets import SyntheticDataset

    reference = SyntheticDataset(96, train, 700, 50, seed=5)
    ours = SyntheticBlocks(96, 700, 50, train, seed=5)
    blocks = [ours.item_rows(start, start + 96) for start in range(0, 700, 96)]
    assert np.array_equal(np.concatenate(blocks), reference.get_database())
    assert np.array_equal(np.concatenate([ours.query_rows(0, 9), ours.query_rows(9, 99)]), reference.get_queries())
    assert np.array_equal(ours.chosen_items(np.array([3, 699])), reference.get_database()[[3, 699]])


@pytest.mark.parametrize("block", [1, 7, 80, 200])
def test_the_exact_answer_of_a_stream_is_that_of_the_whole(block):
    generator = np.random.default_rng(4)
    queries, items = generator.normal(size=(9, 5)), generator.integers(-2, 3, (80, 5))  # with ties
    whole = ExactSearch("inner")
    whole.add(items.astype(np.float32))
    blocks = (items[at : at + block].astype(np.float32) for at in range(0, 80, block))
    streamed, wanted = exact_by_stream(blocks, queries.astype(np.float32), 12), whole.search(queries, 12)
    assert np.array_equal(streamed.indices, wanted.indices)
    assert np.allclose(streamed.scores, wanted.scores)


def test_timing_repeats_within_its_budget():
    calls = []
    result, timing = timed(lambda: calls.append(1) or len(calls), repeats=4, budget_seconds=60)
    assert (result, timing.repeats) == (5, 4)
    _, timing = timed(lambda: None, repeats=4, budget_seconds=0)
    assert timing.repeats == 1


def test_table_7_in_small(tmp_path):
    bench = Table7(300, 2500, dim=72, truth=100, seed=1, threads=1, rows_path=tmp_path / "rows")
    bench.check()
    rows = {row["index"]: row for row in bench.run(lambda step: None).rows}
    assert rows["flat"]["overlap_at_k"][1000] == 1
    assert rows["binary_flat"]["overlap_at_k"][1000] == pytest.approx(rows["popcount"]["overlap_at_k"][1000], abs=0.01)
    assert rows["hybrid"]["top1_in_k"][100] > 0.9
    assert 0.1 < rows["popcount"]["top1_in_k"][1] < rows["popcount"]["top1_in_k"][1000] <= 1


def test_what_does_not_fit_is_refused_before_the_start(monkeypatch):
    monkeypatch.setattr(resources, "free_memory", lambda: 2**32)
    with pytest.raises(UsageError, match=r"flat: 5,000,000 items .*GiB of memory, but 4\.0 GiB"):
        Table7(1_000_000, 5_000_000).check()
    Table7(1000, 5_000_000 // 20, indexes=("popcount", "binary_flat")).check()
    with pytest.raises(UsageError, match="'foo' is unknown"):
        Table7(indexes=("foo",)).check()
    with pytest.raises(UsageError, match=r"1 to the 500 items"):
        Table7(items=500).check()
    with pytest.raises(UsageError, match="at most 40"):
        Table7(items=40, ks=(1,)).check()
    with pytest.raises(UsageError, match="bench.queries is 0"):
        Table7(queries=0).check()
    with pytest.raises(UsageError, match="bench.nprobe is 0"):
        Table7(nprobe=0).check()


def test_the_file_of_the_floats_is_new_and_fits(monkeypatch, tmp_path):
    (tmp_path / "old").write_text("mine")
    for path in (tmp_path, tmp_path / "old"):
        with pytest.raises(UsageError, match="which exists; give the path of a new file"):
            Table7(rows_path=path).check()
    assert (tmp_path / "old").read_text() == "mine"
    monkeypatch.setattr(resources, "free_disk", lambda path: 2**30)
    with pytest.raises(UsageError, match=r"the floats of 5,000,000 items need 19\.1 GiB of disk.*1\.0 GiB are free"):
        Table7(items=5_000_000, indexes=("hybrid",), rows_path=tmp_path / "rows").check()


def test_items_made_on_a_device_are_those_made_in_blocks():
    data = SyntheticBlocks(96, 300, 20, seed=5)
    np.testing.assert_allclose(data.items_on("cpu").numpy(), data.item_rows(0, 300), atol=1e-6)
    np.testing.assert_allclose(data.queries_on("cpu").numpy(), data.query_rows(0, 20), atol=1e-6)
