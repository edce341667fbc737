"""The GPU's exact Hamming search: its fused pass in Triton's interpreter, its plain products, and on a GPU itself."""

import importlib.util
import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fico.codes import HashCodes
from fico.errors import UsageError
from fico.search.exact import ExactSearch
from fico.search.gpu import device as device_file
from fico.search.gpu.screened_floats import _Hits
from fico.search.hamming import gpu as popcount_device
from fico.search.hamming.cpu import ScannedCodes
from fico.search.hamming.gpu import DeviceCodes
from fico.search.hamming.layout import GPU_ID_BITS, pipeline_stages, shared_bytes
from fico.search.hamming.popcount import PopcountSearch
from fico.types import Ranking

WIDTHS = (8, 24, 64, 72, 128, 256, 512, 640)


def random_codes(rows, bits, seed, kinds=None):
    generator = np.random.default_rng(seed)
    codes = generator.integers(0, 256, (kinds or rows, bits // 8), dtype=np.uint8)
    return codes if kinds is None else codes[generator.integers(0, kinds, rows)]


def as_codes(packed):
    return HashCodes.from_packed(packed, 8 * packed.shape[1])


def expected(items, queries, k):
    searcher = ExactSearch("hamming", 8 * items.shape[1])
    searcher.add(items)
    return searcher.search(queries, k)


def assert_same(found, wanted):
    assert np.array_equal(found.scores, wanted.scores)
    assert np.array_equal(found.indices, wanted.indices)


@pytest.fixture
def nearest():
    """The fused passes, on the CPU."""
    if importlib.util.find_spec("triton") is None:
        pytest.skip("triton is not installed: 1 GB, it comes with the GPU builds of torch")
    if not torch.cuda.is_available():
        os.environ["TRITON_INTERPRET"] = "1"  # read when the kernels are defined, at their first import
    from fico.search.hamming.gpu_triton import nearest

    return nearest


def on_device(items, nearest=None):
    codes = DeviceCodes("cuda" if nearest and torch.cuda.is_available() else "cpu", nearest)
    codes.add(as_codes(items[:200]))
    if len(items) > 200:
        codes.add(as_codes(items[200:]))
    return codes


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("kinds", [None, 40])
def test_plain_products_equal_the_oracle(bits, kinds):
    items, queries = random_codes(500, bits, 1, kinds), random_codes(9, bits, 2)
    codes = on_device(items)
    for k in (1, 60, 500):
        assert_same(codes.search(as_codes(queries), k), expected(items, queries, k))


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("kinds", [None, 300, 1])
def test_the_fused_passes_equal_the_oracle(nearest, bits, kinds):
    items, queries = random_codes(1500, bits, 3, kinds), random_codes(3, bits, 4)
    codes = on_device(items, nearest)
    for k in (1, 20):
        assert_same(codes.search(as_codes(queries), k), expected(items, queries, k))


@pytest.mark.parametrize("count", [1, 63, 64, 65, 201, 1024, 1025])
def test_the_fused_passes_see_every_item_and_no_padding(nearest, count):
    items, queries = random_codes(count, 64, 5), np.zeros((2, 8), np.uint8)
    items[-1] = 0
    for k in {1, min(100, count), count}:
        assert_same(on_device(items, nearest).search(as_codes(queries), k), expected(items, queries, k))


def test_a_tile_has_no_more_queries_than_a_grid_takes(monkeypatch):
    codes = DeviceCodes("cpu")
    codes.add(as_codes(random_codes(100, 64, 1)))
    monkeypatch.setattr(codes, "_by_products", lambda queries, k: Ranking(*np.zeros((2, len(queries), k), np.int64)))
    sizes = [part.stop - part.start for part, _ in codes.tiles(as_codes(np.zeros((100_000, 8), np.uint8)), 2)]
    assert sum(sizes) == 100_000
    assert max(sizes) <= 2**15


def test_tiles_of_queries_give_what_one_gives(nearest, monkeypatch):
    items, queries = random_codes(700, 64, 5), random_codes(300, 64, 6)
    monkeypatch.setattr(popcount_device, "_TILE_BYTES", 1)
    assert_same(on_device(items, nearest).search(as_codes(queries), 5), expected(items, queries, 5))


@pytest.mark.parametrize(("bits", "wanted"), [(8, 3), (64, 3), (256, 3), (512, 1), (640, 1), (2**15, 0)])
def test_the_pipeline_is_as_deep_as_the_shared_memory_of_the_device_allows(monkeypatch, bits, wanted):
    monkeypatch.setattr(popcount_device, "shared_memory", lambda device: 232_448)  # of an H200
    assert popcount_device.fused_stages("cuda", bits) == wanted


def test_the_bound_of_shared_memory_is_what_an_h200_was_asked_for():
    assert shared_bytes(512, 3) == 360_960
    for width in (32, 128, 512, 4096):
        assert shared_bytes(width, 1) <= shared_bytes(width, 2) < shared_bytes(width, 3)
    assert pipeline_stages(512, shared_bytes(512, 2)) == 2
    assert pipeline_stages(512, shared_bytes(512, 2) - 1) == 1
    assert pipeline_stages(512, shared_bytes(512, 1) - 1) == 0


def test_codes_too_wide_for_the_device_are_searched_by_plain_products(monkeypatch):
    def never(*arguments):
        raise AssertionError("the fused kernels were launched")

    items, queries = random_codes(300, 640, 9), random_codes(4, 640, 10)
    monkeypatch.setattr(popcount_device, "shared_memory", lambda device: 49_152)  # what any block has
    codes = DeviceCodes("cpu", never)
    codes.add(as_codes(items))
    assert_same(codes.search(as_codes(queries), 20), expected(items, queries, 20))
    parts = [hits for _, hits in codes.tiles(as_codes(queries), 20)]
    wanted = expected(items, queries, 20)
    assert np.array_equal(torch.cat(parts).numpy(), -wanted.scores.astype(np.int64) << GPU_ID_BITS | wanted.indices)


@pytest.mark.parametrize("found", [{"shared_memory_per_block_optin": 232_448}, {}])
def test_the_shared_memory_is_that_of_the_device(monkeypatch, found):
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(**found))
    assert device_file.shared_memory("cuda:1") == found.get("shared_memory_per_block_optin", 101_376)
    assert device_file.shared_memory("cpu") > 2**40


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1"])
@pytest.mark.parametrize("has_triton", [False, True])
def test_kernels_are_fused_where_the_items_lie_on_a_gpu(monkeypatch, device, has_triton):
    # On a machine with a GPU a search on the CPU must not hand its tensors to Triton.
    monkeypatch.setattr(device_file, "has_triton", lambda: has_triton)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device_file.fuses_kernels(device) is (has_triton and device != "cpu")
    if device == "cpu":
        assert popcount_device.codes_on(device)._nearest is None
        assert _Hits(2, 3, device)._keep is None


def test_a_device_that_is_not_there_is_named():
    for device in ("cuda:99", "tpu"):
        with pytest.raises(UsageError, match=device):
            PopcountSearch(64, device=device)


@pytest.mark.gpu
@pytest.mark.parametrize("bits", [64, 256])
@pytest.mark.parametrize("k", [10, 1000])
def test_on_a_gpu_it_equals_the_scan(bits, k):
    items, queries = random_codes(300_000, bits, 7), random_codes(200, bits, 8)
    scan = ScannedCodes(4)
    scan.add(as_codes(items))
    searcher = PopcountSearch(bits, device="cuda")
    searcher.add(items)
    assert_same(searcher.search(queries, k), scan.search(as_codes(queries), k))
