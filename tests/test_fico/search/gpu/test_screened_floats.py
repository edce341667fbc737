"""Float and coarse-to-fine search on a GPU: their torch parts on the CPU, their kernel in Triton's interpreter."""

import importlib.util
import os

import numpy as np
import pytest
import torch

from fico.errors import DataError, UsageError
from fico.search.exact import ExactSearch
from fico.search.gpu import device as device_file
from fico.search.gpu import screened_floats
from fico.search.gpu.gather import gathered
from fico.search.gpu.screened_floats import ScreenedFloats, _Hits
from fico.search.gpu.to_host import to_host
from fico.search.hybrid.gpu import HybridOnDevice
from fico.search.hybrid.hybrid import HybridSearch
from fico.util import resources
from fico.util.compute.precision import full_precision

ON_GPU = pytest.mark.gpu


def rows(count, seed, dim=24, scale=1.0):
    return (scale * np.random.default_rng(seed).normal(size=(count, dim))).astype(np.float32)


def searched(screened, queries, k):
    parts = [(values, items) for _, values, items in screened.search(torch.from_numpy(queries), k)]
    return (torch.cat(column).numpy() for column in zip(*parts, strict=True))


def screened_of(items, is_cosine=False):
    screened = ScreenedFloats("cpu", is_cosine, smallest=1)
    screened.add(torch.from_numpy(items[:100]))
    screened.add(torch.from_numpy(items[100:]))
    return screened


@pytest.mark.parametrize("similarity", ["inner", "cosine"])
@pytest.mark.parametrize("scale", [2e-20, 1e-6, 1.0, 1e15])
def test_screening_leaves_out_nothing(similarity, scale):
    if similarity == "cosine" and scale < 1e-12:
        pytest.skip("rows shorter than 1e-12 have no direction under cosine")
    items, queries = rows(9000, 1, scale=scale), rows(20, 2, scale=1e3)
    oracle = ExactSearch(similarity)
    oracle.add(items)
    screened = screened_of(items, similarity == "cosine")
    for k in (1, 9):
        wanted = oracle.search(queries, k)
        values, found = searched(screened, queries, k)
        assert np.array_equal(found, wanted.indices)
        np.testing.assert_allclose(values, wanted.scores, rtol=1e-5, atol=1e-6 * np.abs(wanted.scores).max())
    assert screened._half is not None  # half precision was asked


def assert_nearest(found, queries, items, k):
    """The k items of largest product, best first; products that are equal within float32 rounding in any order."""
    products = queries.astype(np.float64) @ items.T.astype(np.float64)
    lengths = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(items, axis=1).max()
    rounding = items.shape[1] * np.finfo(np.float32).eps * lengths  # of a product summed in any order
    chosen = np.take_along_axis(products, found, axis=1)
    assert found.shape == (len(queries), k)
    assert all(len(set(row)) == k for row in found.tolist())
    assert (np.diff(chosen, axis=1) <= rounding).all()
    assert (chosen >= np.sort(products, axis=1)[:, -k, None] - rounding).all()


@pytest.mark.parametrize("k", [8999, 9000])
def test_with_nearly_all_items_asked_for_plain_products_serve(k, monkeypatch):
    monkeypatch.setattr(screened_floats, "_PAIRS", 20_000)
    items, queries = rows(9000, 1), rows(5, 2)
    screened = screened_of(items)
    values, found = searched(screened, queries, k)
    assert screened._half is None  # half precision was not asked
    assert_nearest(found, queries, items, k)
    np.testing.assert_allclose(values, np.take_along_axis(queries @ items.T, found, axis=1), rtol=1e-4, atol=1e-5)


def test_a_query_or_row_of_zeros_is_no_fault():
    items = rows(9000, 3)
    items[::5] = 0
    values, found = searched(screened_of(items), np.zeros((2, 24), np.float32), 3)
    assert np.array_equal(found, [[0, 1, 2]] * 2)
    assert not values.any()
    _, found = searched(screened_of(np.zeros_like(items)), rows(2, 4), 3)
    assert np.array_equal(found, [[0, 1, 2]] * 2)


def test_what_is_no_number_is_searched_again(monkeypatch):
    items, queries = rows(9000, 5), rows(4, 6)
    screened = screened_of(items)
    slack = screened._screen().slack
    monkeypatch.setattr(type(screened._half), "slack", lambda half, *given: torch.full_like(slack(*given), torch.nan))
    oracle = ExactSearch("inner")
    oracle.add(items)
    _, found = searched(screened, queries, 5)
    assert np.array_equal(found, oracle.search(queries, 5).indices)


def test_tensors_that_learn_and_numbers_that_are_not_real(monkeypatch):
    monkeypatch.setattr(device_file, "_is_elsewhere", lambda values: True)
    asked = device_file.to_tensor(torch.ones(2, 3, requires_grad=True), "queries", "cpu")
    assert not asked.requires_grad
    for wrong in (torch.ones(2, 3, dtype=torch.complex64), torch.ones(3), torch.ones(0, 3)):
        with pytest.raises(DataError, match="give a matrix of real numbers"):
            device_file.to_tensor(wrong, "queries", "cpu")
    with pytest.raises(DataError, match="row 1 of the queries holds NaN"):
        device_file.to_tensor(torch.tensor([[1.0], [torch.nan]]), "queries", "cpu")
    with pytest.raises(DataError, match="have 3 dimensions, but the index holds items of 4"):
        device_file.to_tensor(torch.ones(2, 3), "queries", "cpu", 4)


def test_items_that_half_precision_cannot_tell_apart_are_told_apart():
    base = rows(1, 3)
    items = np.repeat(base, 9000, axis=0)
    items[2000] *= np.float32(1.00001)  # ten times below the step of half precision
    values, found = searched(screened_of(items), base, 1)
    assert found.tolist() == [[2000]]


def test_a_sample_that_misleads_is_found_out():
    # Every 128th row, the sample, is the best there is: too few reach the limit. Then all are equal: too many do.
    query = np.ones((2, 24), np.float32)
    for others in (0.5, 1.0):
        items = np.full((128 * 80, 24), others, np.float32)
        items[::128] = 1.0
        _, found = searched(screened_of(items), query, 100)
        best = list(range(100)) if others == 1.0 else [*range(0, 128 * 80, 128), *range(1, 21)]
        assert np.array_equal(np.sort(found[0]), np.sort(best))


def test_equal_scores_come_in_order_of_item():
    items = np.repeat(rows(3000, 4), 3, axis=0)
    _, found = searched(screened_of(items), rows(5, 5), 6)
    groups = found.reshape(5, 2, 3)
    assert np.array_equal(groups - groups[:, :, :1], np.broadcast_to([0, 1, 2], groups.shape))


@pytest.fixture
def device():
    """Where kernels can run: a GPU, or the CPU in Triton's interpreter."""
    if importlib.util.find_spec("triton") is None:
        pytest.skip("triton is not installed: 1 GB, it comes with the GPU builds of torch")
    if torch.cuda.is_available():
        return "cuda"
    os.environ["TRITON_INTERPRET"] = "1"  # read when a kernel is defined, at its first import
    return "cpu"


def test_the_keeping_kernel_keeps_what_plain_indexing_keeps(device):
    from fico.search.gpu.threshold_triton import keep

    products = torch.from_numpy(rows(4, 15, 9000)).half().to(device)
    limits = products.sort(dim=1, descending=True).values[:, 30]
    plain, kernel = (_Hits(4, 40, device) for _ in range(2))
    plain._keep, kernel._keep = None, keep
    for hits in (plain, kernel):
        hits.keep(products[:, :5000], limits, 0)
        hits.keep(products[:, 5000:], limits, 5000)
    assert torch.equal(plain.counts, kernel.counts)
    assert (plain.counts == (products >= limits[:, None]).sum(dim=1)).all()
    values, (others, theirs) = plain.best(10)[0], kernel.best(10)
    assert torch.equal(values, others)
    assert torch.equal(products.gather(1, theirs[:, :31]), others[:, :31])
    assert all(len(set(row[:31])) == 31 for row in theirs.tolist())


def test_hits_without_room_are_counted(device):
    from fico.search.gpu.threshold_triton import keep

    products = torch.ones(2, 5000, dtype=torch.float16, device=device)
    for way in (None, keep):
        hits = _Hits(2, 7, device)
        hits._keep = way
        hits.keep(products, products[:, 0], 0)
        assert hits.counts.tolist() == [5000, 5000]


@pytest.mark.parametrize("kind", [torch.float32, torch.float16])
@pytest.mark.parametrize("dim", [5, 300])
def test_the_gathering_kernel_gives_the_products(device, kind, dim):
    from fico.search.gpu import gather_triton as gathered_triton

    held, queries = torch.from_numpy(rows(50, 6, dim)).to(kind), torch.from_numpy(rows(3, 7, dim))
    ids = torch.from_numpy(np.random.default_rng(8).integers(0, 50, (3, 21)))
    found = gathered_triton.gathered(held.to(device), ids.to(device), queries.to(device)).cpu()
    torch.testing.assert_close(found, gathered(held, ids, queries), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("metric", ["inner", "cosine", "euclidean"])
@pytest.mark.parametrize("kind", ["float32", "float16"])
def test_the_parts_on_a_device_do_what_those_on_processors_do(metric, kind):
    items, queries = rows(900, 9), rows(7, 10)
    searcher = HybridSearch(metric, bits=24, lists=1, candidates=60, rows=kind, threads=1)
    searcher.add(items)
    wanted = searcher.search(queries, 10)
    on_device = HybridOnDevice("cpu", metric, kind, searcher._projection)
    on_device.add(torch.from_numpy(items[:500]), None)
    on_device.add(items[500:], None)
    saved = [restored(held, metric, kind, searcher) for held in (on_device, searcher._held)]
    for held in (on_device, *saved):
        found = held.search(queries, None, 10, 60)
        assert np.array_equal(found.indices, wanted.indices)
        np.testing.assert_allclose(found.scores, wanted.scores, rtol=1e-4, atol=1e-5)


def restored(held, metric, kind, searcher):
    settings, arrays = held.state()
    assert settings["shape"] == [900, 24]
    other = HybridOnDevice("cpu", metric, kind, searcher._projection)
    other.restore(arrays["rows"], arrays, 24)
    return other


def test_what_a_gpu_has_no_use_for_is_refused(monkeypatch):
    monkeypatch.setattr(device_file.torch.cuda, "device_count", lambda: 1)
    for given in ({"lists": 5}, {"rows": "int8"}, {"rows_path": "file"}):
        with pytest.raises(UsageError, match="on cuda the floats lie on the device"):
            HybridSearch(device="cuda", **given)
    for make in (HybridSearch, ExactSearch):
        with pytest.raises(UsageError, match="device is 'cuda:7'"):
            make(device="cuda:7")
        with pytest.raises(UsageError, match="device is None; choose cpu, cuda"):
            make(device=None)


def test_what_torch_holds_in_reserve_counts_as_free(monkeypatch):
    for name, value in (("mem_get_info", (5, 99)), ("memory_reserved", 40), ("memory_allocated", 10)):
        monkeypatch.setattr(device_file.torch.cuda, name, lambda device, value=value: value)
    assert device_file.free_device_memory("cuda:0") == 35


def test_single_precision_stays_single_whatever_the_user_chose():
    flags = torch.backends.cuda.matmul
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with full_precision():
            assert torch.get_float32_matmul_precision() == "highest"
            assert not flags.allow_fp16_reduced_precision_reduction
        assert torch.get_float32_matmul_precision() == "high"
        assert flags.allow_fp16_reduced_precision_reduction
    finally:
        torch.set_float32_matmul_precision(before)


def test_a_failing_tile_ends_the_delivery():
    def tiles():
        yield slice(0, 1), torch.ones(1, 2), torch.ones(1, 2, dtype=torch.int64)
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        to_host(tiles(), 2, 2)


def test_many_tiles_are_delivered_in_their_places():
    tiles = ((slice(at, at + 1), torch.full((1, 3), float(at)), torch.full((1, 3), at)) for at in range(50))
    found = to_host(tiles, 50, 3)
    assert np.array_equal(found.indices, np.repeat(np.arange(50)[:, None], 3, axis=1))
    assert np.array_equal(found.scores, found.indices)


def test_a_result_that_does_not_fit_memory_is_refused(monkeypatch):
    monkeypatch.setattr(resources, "free_memory", lambda: 2**28)
    with pytest.raises(UsageError, match=r"the 1000 nearest items of 100000 queries need about 1\.1 GiB"):
        to_host(iter(()), 100_000, 1000)


def test_a_copy_that_does_not_fit_on_a_device_is_refused(monkeypatch):
    rows = torch.ones(2**10, 4)
    monkeypatch.setattr(device_file, "free_device_memory", lambda device: 2**13)
    assert device_file.owned_tensor(rows, rows.numpy()) is rows  # a tensor that was made of an array
    with pytest.raises(UsageError, match="a copy of 1024 items need about"):
        device_file.owned_tensor(rows, rows[:])


def test_what_does_not_fit_on_a_device_is_refused(monkeypatch):
    monkeypatch.setattr(device_file, "free_device_memory", lambda device: 2**30)
    with pytest.raises(UsageError, match=r"5 items need about 2.0 GiB on cuda:0, but 1.0 GiB are free"):
        device_file.require_device_memory("cuda:0", 2**31, "5 items")


@ON_GPU
@pytest.mark.parametrize("similarity", ["inner", "cosine"])
@pytest.mark.parametrize("k", [1, 100, 1000])
def test_on_a_gpu_exact_search_equals_double_precision(similarity, k):
    items, queries = rows(300_000, 11, 64), rows(50, 12, 64)
    searcher = ExactSearch(similarity, device="cuda")
    searcher.add(torch.from_numpy(items).cuda())
    found = searcher.search(queries, k)
    lengths = np.linalg.norm(items.astype(np.float64), axis=1) if similarity == "cosine" else 1.0
    products = queries.astype(np.float64) @ items.T.astype(np.float64) / lengths
    kth = np.sort(products, axis=1)[:, -k]
    got = np.take_along_axis(products, found.indices, axis=1)
    assert (got >= kth[:, None] - 1e-5 * np.abs(products).max()).all()
    assert all(len(set(row)) == k for row in found.indices.tolist())


@ON_GPU
def test_on_a_gpu_the_hybrid_saves_and_loads(tmp_path):
    items, queries = rows(200_000, 13, 64), rows(50, 14, 64)
    searcher = HybridSearch("inner", bits=64, candidates=200, rows="float16", device="cuda")
    searcher.add(items)
    found = searcher.search(queries, 10)
    searcher.save(tmp_path / "index")
    for device in ("cuda", "cpu"):
        loaded = HybridSearch.load(tmp_path / "index", device=device)
        assert (loaded.search(queries, 10).indices == found.indices).mean() > 0.999
