"""Every searcher against a plain sort of all distances."""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest
import torch

from fico.bench.machine import PeakMemory
from fico.errors import DataError, UsageError
from fico.search.base import merge
from fico.search.brute_force import top_k
from fico.search.exact import ExactSearch
from fico.search.faiss_factory import check_complete
from fico.search.faiss_index import FaissSearch
from fico.search.hamming import popcount as popcount_file
from fico.search.hamming.cpu import lane_masks
from fico.search.hamming.popcount import PopcountSearch
from fico.types import Ranking

WIDTHS = (8, 16, 24, 64, 72, 128, 256, 512, 640)


def random_codes(rows, bits, seed, kinds=None):
    """Packed codes; with ``kinds`` only so many different ones, so that most of them tie."""
    generator = np.random.default_rng(seed)
    codes = generator.integers(0, 256, (kinds or rows, bits // 8), dtype=np.uint8)
    return codes if kinds is None else codes[generator.integers(0, kinds, rows)]


def signs(codes):
    return np.unpackbits(codes, axis=1).astype(np.float32) * 2 - 1


def plain_ranking(queries, items, k):
    """The slow second version: every distance, sorted by (distance, item)."""
    distances = ((8 * items.shape[1] - signs(queries) @ signs(items).T) / 2).astype(np.int64)
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return -np.take_along_axis(distances, order, axis=1), order


def assert_same(ranking, scores, indices):
    assert np.array_equal(ranking.scores, scores)
    assert np.array_equal(ranking.indices, indices)


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("kinds", [None, 5])
@pytest.mark.parametrize("threads", [1, 3])
def test_popcount_equals_a_plain_sort(bits, kinds, threads):
    items, queries = random_codes(777, bits, 1, kinds), random_codes(37, bits, 2)
    searcher = PopcountSearch(bits, threads=threads)
    searcher.add(items)
    for k in (1, 10, 255, 777):
        assert_same(searcher.search(queries, k), *plain_ranking(queries, items, k))
        assert_same(searcher.search(queries[:1], k), *plain_ranking(queries[:1], items, k))


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("kinds", [None, 5])
def test_exact_hamming_equals_a_plain_sort(bits, kinds):
    items, queries = random_codes(300, bits, 3, kinds), random_codes(21, bits, 4)
    searcher = ExactSearch("hamming", bits, memory_limit=2**16)
    searcher.add(items[:100])
    searcher.add(items[100:])
    for k in (1, 30, 300):
        assert_same(searcher.search(queries, k), *plain_ranking(queries, items, k))


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("kinds", [None, 5])
def test_faiss_flat_gives_the_exact_distances(bits, kinds):
    items, queries = random_codes(400, bits, 5, kinds), random_codes(13, bits, 6)
    searcher = FaissSearch("BFlat", bits=bits)
    searcher.add(items)
    for k in (1, 50, 400):
        assert np.array_equal(searcher.search(queries, k).scores, plain_ranking(queries, items, k)[0])


def test_large_k_takes_its_first_limit_from_a_sample_and_stays_exact():
    items, queries = random_codes(40_000, 64, 7), random_codes(40, 64, 8)
    searcher, oracle = PopcountSearch(64, threads=2), ExactSearch("hamming", 64)
    searcher.add(items)
    oracle.add(items)
    words = queries.view(np.int64)
    searcher.search(queries, 1)
    assert (searcher._codes._first_limits(words, 300) < 64).all()
    expected = oracle.search(queries, 300)
    assert_same(searcher.search(queries, 300), expected.scores, expected.indices)


@pytest.mark.parametrize(("queries", "threads"), [(1, 1), (7, 1), (8, 1), (3, 4), (31, 4), (33, 4), (700, 2)])
def test_however_the_work_is_shared_the_result_is_one(queries, threads):
    items, asked = random_codes(3000, 72, 30, kinds=400), random_codes(queries, 72, 31)
    searcher = PopcountSearch(72, threads=threads)
    searcher.add(items)
    assert_same(searcher.search(asked, 300), *plain_ranking(asked, items, 300))


@pytest.mark.parametrize(("queries", "k", "threads"), [(15, 60_000, 2), (200, 2000, 1), (2000, 100, 4)])
def test_threads_work_in_the_memory_that_is_predicted(monkeypatch, queries, k, threads):
    items, asked = random_codes(120_000, 64, 32, kinds=1000), random_codes(queries, 64, 33)
    searcher = PopcountSearch(64, threads=threads)
    searcher.add(items)
    searcher.search(asked[:1], 1)
    with PeakMemory() as memory:
        searcher.search(asked, k)
    assert memory.grown_bytes < popcount_file.predicted_bytes(0, 64, queries, k, threads) + 2**23


def test_a_sample_that_misleads_is_found_out():
    # Every 128th code, the sample, equals the query; all others are far: the sample's limit leaves k unfilled.
    items = np.full((128 * 450, 8), 255, np.uint8)
    items[::128] = 0
    queries = np.zeros((4, 8), np.uint8)
    searcher = PopcountSearch(64, threads=1)
    searcher.add(items)
    searcher.search(queries, 1)
    assert (searcher._codes._first_limits(queries.view(np.int64), 1000) == 0).all()
    found = searcher.search(queries, 1000)
    sample = np.arange(0, len(items), 128)
    rest = np.delete(np.arange(len(items)), sample)[:550]
    assert np.array_equal(found.indices, np.tile(np.concatenate([sample, rest]), (4, 1)))


def test_the_three_forms_of_codes_give_one_result():
    items, queries = random_codes(90, 32, 9), random_codes(5, 32, 10)
    expected = plain_ranking(queries, items, 7)
    for form in (lambda c: c, signs, lambda c: signs(c) > 0, lambda c: torch.from_numpy(signs(c))):
        for searcher in (PopcountSearch(32), ExactSearch("hamming", 32), FaissSearch("BFlat", bits=32)):
            searcher.add(form(items))
            assert np.array_equal(searcher.search(form(queries), 7).scores, expected[0]), searcher.name


def test_codes_added_in_pieces_count_on():
    items, queries = random_codes(500, 64, 11), random_codes(9, 64, 12)
    searcher = PopcountSearch(64)
    searcher.add(items[:3])
    searcher.search(queries, 2)
    searcher.add(items[3:200])
    searcher.add(items[200:])
    assert_same(searcher.search(queries, 40), *plain_ranking(queries, items, 40))


def test_shards_merge_into_the_whole():
    items, queries = random_codes(300, 16, 13, kinds=9), random_codes(8, 16, 14)
    rankings = []
    for start, stop in ((0, 100), (100, 105), (105, 300)):
        shard = PopcountSearch(16)
        shard.add(items[start:stop])
        found = shard.search(queries, min(20, stop - start))
        rankings.append(Ranking(found.scores, found.indices + start))
    assert_same(merge(rankings, 20), *plain_ranking(queries, items, 20))


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("kinds", [None, 7])
def test_faiss_does_the_work_of_wide_codes(monkeypatch, bits, kinds):
    monkeypatch.setattr(popcount_file, "WIDEST", 0)
    items, queries = random_codes(200, bits, 15, kinds), random_codes(6, bits, 16)
    searcher = PopcountSearch(bits)
    searcher.add(items)
    assert searcher.backend == "faiss"
    for k in (1, 60, 200):
        assert_same(searcher.search(queries, k), *plain_ranking(queries, items, k))


def cpu_has(feature):
    import llvmlite.binding as llvm

    return llvm.get_host_cpu_features().get(feature, False)


def compiled_anew(function, *arguments):
    """Assembly of a compiled function; code out of the cache cannot be looked at."""
    from numba import njit

    fresh = njit(nogil=True)(function.py_func)
    fresh(*arguments)
    return "".join(fresh.inspect_asm().values())


@pytest.mark.parametrize("words", [1, 4])
def test_the_scan_counts_with_the_three_operand_logic_of_the_cpu(words):
    # No popcount is in it by design: adders of planes count twice as fast.
    from fico.search.hamming.bit_planes import BitPlanes
    from fico.search.hamming.kernel import scan

    if not cpu_has("avx512f"):
        pytest.skip("this CPU has no logic of three operands")
    planes, queries = BitPlanes(words), np.zeros((1, words), np.int64)
    planes.extend([np.zeros((1, words), np.uint64)], 1)
    arguments = (lane_masks(None), queries, np.full(1, 64 * words), np.zeros((1, 1), np.int64))
    assembly = compiled_anew(scan, planes.arrays, 0, 1, *arguments)
    assert assembly.count("vpternlogq") > 2 * 60  # 57 adders and the offset's, of one word


def test_the_limit_it_is_measured_against_is_that_of_the_vector_popcount():
    from fico.bench.popcount.limit import _compare

    if not cpu_has("avx512vpopcntdq"):
        pytest.skip("this CPU has no vector popcount")
    assert "vpopcntq" in compiled_anew(_compare, (np.zeros(128, np.uint64),), np.zeros(1, np.uint64), 0, 1)


@pytest.mark.parametrize("cpu", ["generic", "haswell"])
def test_a_cpu_without_wide_vectors_finds_the_same(cpu, tmp_path):
    if platform.machine() not in ("x86_64", "AMD64") or (cpu == "haswell" and not cpu_has("avx2")):
        pytest.skip(f"this CPU cannot run the code of {cpu}")
    items, queries = random_codes(700, 72, 1, 60), random_codes(9, 72, 2)
    np.savez(tmp_path / "codes.npz", items=items, queries=queries)
    program = (
        "import sys, numpy as np; from fico.search.hamming.popcount import PopcountSearch\n"
        "given = np.load(sys.argv[1]); searcher = PopcountSearch(72, 1); searcher.add(given['items'])\n"
        "found = [searcher.search(given['queries'][:count], 30) for count in (9, 2)]\n"
        "np.savez(sys.argv[2], *(part for one in found for part in (one.scores, one.indices)))"
    )
    features = "" if cpu == "generic" else "+avx,+avx2,+bmi,+bmi2,+popcnt"
    place = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": features, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    files = [str(tmp_path / name) for name in ("codes.npz", "found.npz")]
    subprocess.run([sys.executable, "-c", program, *files], env=os.environ | place, check=True)
    found = list(np.load(files[1]).values())
    assert_same(Ranking(*found[:2]), *plain_ranking(queries, items, 30))
    assert_same(Ranking(*found[2:]), *plain_ranking(queries[:2], items, 30))


@pytest.mark.parametrize("similarity", ["cosine", "inner", "euclidean"])
def test_exact_float_search_equals_a_plain_sort(similarity):
    generator = np.random.default_rng(17)
    queries = generator.normal(size=(30, 12)).astype(np.float32) * 3
    items = generator.normal(size=(200, 12)).astype(np.float32) - 2
    left, right = queries.astype(np.float64), items.astype(np.float64)
    if similarity == "cosine":
        left, right = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (left, right))
    scores = left @ right.T
    if similarity == "euclidean":
        scores = -np.linalg.norm(left[:, None] - right[None], axis=2)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :20]
    for searcher in (ExactSearch(similarity, memory_limit=2**14), FaissSearch("Flat", similarity)):
        searcher.add(items[:50])
        searcher.add(items[50:])
        found = searcher.search(queries, 20)
        assert np.array_equal(found.indices, order), searcher.name
        assert np.allclose(found.scores, np.take_along_axis(scores, order, 1), atol=1e-4), searcher.name


def test_equal_scores_come_in_order_of_item():
    found = top_k(torch.tensor([[1.0, 3.0, 3.0, 0.0, 3.0, 1.0]]), 4)
    assert found.indices.tolist() == [[1, 2, 4, 0]]


def test_codes_in_a_float_index_rank_as_by_hamming_distance():
    items, queries = random_codes(60, 32, 18), random_codes(4, 32, 19)
    searcher = FaissSearch("Flat", bits=32)
    searcher.add(items)
    found = searcher.search(queries, 60)
    assert np.allclose(32 * (found.scores - 1) / 2, plain_ranking(queries, items, 60)[0], atol=1e-4)


def test_floats_reach_a_binary_index_as_itq_codes():
    generator = np.random.default_rng(20)
    items = np.tanh(generator.normal(size=(400, 6)) @ generator.normal(size=(6, 48))).astype(np.float32)
    exact = ExactSearch("cosine")
    exact.add(items)
    nearest = exact.search(items[:100], 10).indices
    for searcher in (FaissSearch("BFlat", bits=32), PopcountSearch(32)):
        searcher.add(items)
        assert "itq32" in searcher.name
        found = searcher.search(items[:100], 40).indices
        hits = (nearest[:, :, None] == found[:, None, :]).any(axis=2).mean()
        assert hits > 0.6, searcher.name  # 40 of 400 by chance: 0.1


def test_few_items_get_a_shorter_code():
    items = np.random.default_rng(21).normal(size=(21, 40)).astype(np.float32)
    searcher = PopcountSearch()
    searcher.add(items)
    assert searcher.bits == 16


def test_search_parameters_reach_the_index():
    items = np.random.default_rng(22).normal(size=(2000, 16)).astype(np.float32)
    exact, found = ExactSearch("inner"), {}
    exact.add(items)
    wanted = exact.search(items, 10).indices
    for nprobe in (1, 40):
        searcher = FaissSearch("IVF40,Flat", "inner", search_params={"nprobe": nprobe}, threads=1)
        searcher.add(items)
        found[nprobe] = (searcher.search(items, 10).indices == wanted).mean()
    assert found[1] < 0.9
    assert found[40] > 0.99


def test_places_an_index_cannot_fill_are_marked():
    codes = random_codes(400, 16, 23)
    searcher = FaissSearch("BIVF{lists}", bits=16, search_params={"nprobe": 1})
    searcher.add(codes)
    assert searcher.name == "BIVF10,16,nprobe=1"
    found = searcher.search(codes[:5], 400)
    assert (found.indices[:, -1] == -1).all()
    assert (found.scores[:, -1] == -17).all()


def test_sizes_are_those_of_what_is_held():
    codes = random_codes(128 * 512, 64, 24)
    searcher = PopcountSearch(64)
    searcher.add(codes)
    assert searcher.size_bytes == codes.nbytes
    searcher.search(codes[:1], 1)
    assert searcher.size_bytes == codes.nbytes * 129 // 128
    index = FaissSearch("BFlat", bits=64)
    index.add(codes)
    assert codes.nbytes < index.size_bytes < codes.nbytes + 100


@pytest.mark.parametrize(
    "searcher", [ExactSearch("inner"), FaissSearch("Flat"), PopcountSearch(), FaissSearch("BFlat")]
)
def test_bad_input_is_refused_in_one_sentence(searcher):
    items = np.random.default_rng(25).normal(size=(50, 16)).astype(np.float32)
    with pytest.raises(UsageError, match="call add"):
        searcher.search(items, 1)
    broken = items.copy()
    broken[31, 2] = np.nan
    with pytest.raises(DataError, match="row 31"):
        searcher.add(broken)
    searcher.add(items)
    for k in (0, 51, 2.5, True):
        with pytest.raises(UsageError, match=f"k is {k}.*50 items"):
            searcher.search(items, k)
    assert searcher.search(items, np.int64(3)).indices.shape == (50, 3)
    with pytest.raises(DataError, match="dtype complex64"):
        searcher.search(items.astype(np.complex64), 1)
    with pytest.raises(DataError, match="15 dimensions.*16"):
        searcher.search(items[:, :15], 1)
    with pytest.raises(DataError, match="row 31"):
        searcher.search(broken, 1)
    with pytest.raises(DataError, match="matrix"):
        searcher.search(items[0], 1)


@pytest.mark.parametrize("make", [PopcountSearch, lambda bits: FaissSearch("BFlat", bits=bits)])
def test_bad_codes_are_refused_in_one_sentence(make):
    for bits in (0, 12):
        with pytest.raises(UsageError, match="bits"):
            make(bits)
    codes = signs(random_codes(40, 16, 26))
    codes[17, 3] = 0
    with pytest.raises(DataError, match="row 17"):
        make(16).add(codes)
    searcher = make(16)
    searcher.add(random_codes(40, 16, 26))
    with pytest.raises(UsageError, match="bits=16 does not fit queries with 24 columns"):
        searcher.search(signs(random_codes(2, 24, 27)), 1)


@pytest.mark.parametrize(("factory", "words"), [("Foo", "Foo"), ("BFoo", "BFoo")])
def test_an_unknown_factory_or_parameter_is_named(factory, words):
    items = np.random.default_rng(28).normal(size=(50, 16)).astype(np.float32)
    with pytest.raises(UsageError, match=words):
        FaissSearch(factory).add(items)
    with pytest.raises(UsageError, match="nlisp"):
        FaissSearch(words[0] == "B" and "BHNSW8" or "HNSW8", search_params={"nlisp": 3}).add(items)


def test_too_few_items_for_the_lists_of_a_factory_are_refused():
    with pytest.raises(DataError, match="'IVF64,Flat' on 50 items"):
        FaissSearch("IVF64,Flat").add(np.random.default_rng(29).normal(size=(50, 16)))


def test_importing_the_searchers_loads_neither_faiss_nor_numba():
    code = (
        "import sys, fico.search.hamming.popcount, fico.search.faiss_index, fico.search.hybrid.hybrid;"
        "import fico.bench.indexes.comparison;"
        "assert not {'faiss', 'numba'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def rows_of_many_lengths():
    generator = np.random.default_rng(30)
    return (generator.normal(size=(1200, 32)) * generator.uniform(0.2, 5, (1200, 1))).astype(np.float32)


@pytest.mark.parametrize("metric", ["cosine", "inner"])
# np: without FAISS's training for a search by the codes' bits, up to ten seconds that no search here makes use of
@pytest.mark.parametrize("factory", ["HNSW32,SQ8", "IVF2,PQ16x4np", "PCA16,HNSW16", "PQ16x4np"])
def test_a_factory_searches_by_the_metric_that_was_asked_for(factory, metric):
    items = rows_of_many_lengths()
    searcher, exact = FaissSearch(factory, metric, threads=1), ExactSearch(metric)
    for one in (searcher, exact):
        one.add(items)
    found, wanted = searcher.search(items[:20], 10), exact.search(items[:20], 10)
    assert (np.diff(found.scores, axis=1) <= 1e-5).all()
    shared = [len(set(a) & set(b)) / 10 for a, b in zip(found.indices, wanted.indices, strict=True)]
    assert np.mean(shared) > 0.3


@pytest.mark.parametrize("metric", ["cosine", "inner"])
@pytest.mark.parametrize("factory", ["HNSW32,PQ4", "HNSW32,PQ4np", "NSG16,PQ4", "PCA16,HNSW32,PQ4", "ZnLattice2x8_4"])
def test_a_factory_whose_index_drops_the_metric_is_refused(factory, metric):
    searcher = FaissSearch(factory, metric, threads=1)
    with pytest.raises(
        UsageError, match=f"FAISS searches '{factory}' by Euclidean distance, .*'{metric}' was requested"
    ):
        searcher.add(rows_of_many_lengths())


@pytest.mark.parametrize(
    ("factory", "metric", "words"),
    [
        ("IDMap,Flat", "inner", "maps ids.*leave IDMap out"),
        ("IDMap2,IVF8,Flat", "cosine", "leave IDMap out"),
        ("Flat,IDMap", "euclidean", "leave IDMap out"),
        ("IDMap,BFlat", "inner", "cannot build"),
        ("L2norm,Flat", "inner", "brings rows to length 1, but 'inner' was requested"),
        ("L2norm,SQ8,RFlat", "euclidean", "brings rows to length 1"),
        ("ITQ16,Flat", "inner", "moves rows by their mean"),
        ("ITQ32,Flat", "cosine", "moves rows by their mean"),
        ("PCAW16,Flat", "cosine", "whitens rows"),
        ("PCAWR16,Flat", "euclidean", "whitens rows"),
        ("LSHrt", "euclidean", "scores by signs"),
        ("IVF8,ITQ16,SH1", "euclidean", "scores by signs|moves rows by their mean"),
        ("Residual8,PQ4", "euclidean", "cannot be searched"),
    ],
)
def test_a_factory_whose_scores_are_not_those_of_the_metric_is_refused(factory, metric, words):
    with pytest.raises(UsageError, match=words):
        FaissSearch(factory, metric, threads=1).add(rows_of_many_lengths())


def test_rows_of_length_one_are_brought_to_length_one_where_cosine_wants_it():
    searcher = FaissSearch("L2norm,Flat", "cosine")
    searcher.add(rows_of_many_lengths())
    assert np.allclose(searcher.search(rows_of_many_lengths()[:9], 1).scores, 1, atol=1e-5)


def test_an_index_that_loses_items_is_refused():
    class Forgetful:
        ntotal = 2

    with pytest.raises(UsageError, match="holds 2 of the 3 items that 'Flat' was given"):
        check_complete(Forgetful(), "Flat", 3)


def test_a_factory_that_knows_the_euclidean_distance_alone_serves_it():
    items = rows_of_many_lengths()
    searcher = FaissSearch("HNSW32,PQ4np", "euclidean", threads=1)
    searcher.add(items)
    assert (np.diff(searcher.search(items[:20], 10).scores, axis=1) <= 0).all()


@pytest.mark.parametrize("metric", ["cosine", "inner", "euclidean"])
@pytest.mark.parametrize("factory", ["PCA32,Flat", "PCAR32,Flat", "PCA32,IVF4,Flat"])
def test_a_rotation_changes_no_metric_wherever_the_items_lie(factory, metric, tmp_path):
    items = rows_of_many_lengths() + 3 * np.random.default_rng(31).normal(size=32).astype(np.float32)
    searcher, exact = FaissSearch(factory, metric, threads=1), ExactSearch(metric)
    if "IVF" in factory:
        searcher.search_params["nprobe"] = 4
    for one in (searcher, exact):
        one.add(items)
    searcher.save(tmp_path / "index")
    wanted = exact.search(-items[:20], 10)
    for one in (searcher, FaissSearch.load(tmp_path / "index", threads=1)):
        assert np.allclose(one.search(-items[:20], 10).scores, wanted.scores, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("factory", ["RR32,RaBitQ", "RR32,RaBitQfs"])
def test_scores_of_one_bit_are_estimates_without_bias_that_refining_replaces(factory, metric):
    items = rows_of_many_lengths()[:1000]
    bare, exact = FaissSearch(factory, metric, threads=1), ExactSearch(metric)
    refined = FaissSearch(f"{factory},RFlat", metric, search_params={"k_factor_rf": 100}, threads=1)
    for one in (bare, exact, refined):
        one.add(items)
    found, wanted = (one.search(items[:100], 1000) for one in (bare, exact))
    scores = np.empty_like(found.scores)
    np.put_along_axis(scores, found.indices, found.scores, axis=1)
    true = np.take_along_axis(wanted.scores, np.argsort(wanted.indices, axis=1), axis=1)
    if metric == "euclidean":
        scores, true = scores**2, true**2  # the square is what is estimated
    assert abs((scores - true).mean()) < 0.02 * true.std()
    assert np.corrcoef(scores.ravel(), true.ravel())[0, 1] > 0.8
    assert np.allclose(refined.search(items[:100], 10).scores, wanted.scores[:, :10], atol=1e-2)
