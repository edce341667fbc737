"""The GPU's exact Hamming search: its fused pass in Triton's interpreter, its plain products, and on a GPU itself."""

import importlib.util
import os

import numpy as np
import pytest
import torch

from fico.errors import UsageError
from fico.search.exact import ExactSearch
from fico.search.popcount import PopcountSearch
from fico.search.popcount_device import DeviceCodes
from fico.search.popcount_scan import ScannedCodes

WIDTHS = (8, 24, 64, 72, 128, 256, 512, 640)


def random_codes(rows, bits, seed, kinds=None):
    generator = np.random.default_rng(seed)
    codes = generator.integers(0, 256, (kinds or rows, bits // 8), dtype=np.uint8)
    return codes if kinds is None else codes[generator.integers(0, kinds, rows)]


def expected(items, queries, k):
    searcher = ExactSearch("hamming", 8 * items.shape[1])
    searcher.add(items)
    return searcher.search(queries, k)


def assert_same(found, wanted):
    assert np.array_equal(found.scores, wanted.scores)
    assert np.array_equal(found.indices, wanted.indices)


@pytest.fixture
def keep_near():
    """The fused pass, on the CPU."""
    if importlib.util.find_spec("triton") is None:
        pytest.skip("triton is not installed: 1 GB, it comes with the GPU builds of torch")
    if not torch.cuda.is_available():
        os.environ["TRITON_INTERPRET"] = "1"  # read when the kernel is defined, at its first import
    from fico.search.popcount_triton import keep_near

    return keep_near


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("kinds", [None, 40])
def test_plain_products_equal_the_oracle(bits, kinds):
    items, queries = random_codes(500, bits, 1, kinds), random_codes(9, bits, 2)
    codes = DeviceCodes("cpu")
    codes.add(items[:200])
    codes.add(items[200:])
    for k in (1, 60, 500):
        assert_same(codes.search(queries, k), expected(items, queries, k))


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("kinds", [None, 300])
def test_the_fused_pass_equals_the_oracle(keep_near, bits, kinds):
    items, queries = random_codes(1500, bits, 3, kinds), random_codes(5, bits, 4)
    codes = DeviceCodes("cuda" if torch.cuda.is_available() else "cpu", keep_near, smallest=1)
    codes.add(items)
    for k in (1, 20):
        assert_same(codes.search(queries, k), expected(items, queries, k))


def test_the_fused_pass_keeps_what_reaches_the_limit_and_counts_the_rest(keep_near):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    items, queries = random_codes(700, 64, 5), random_codes(70, 64, 6)
    codes = DeviceCodes(device)
    products = codes._on_device(queries).int().cpu() @ codes._on_device(items).int().cpu().T
    limits = products.sort(dim=1, descending=True).values[:, 4].contiguous()
    hits = torch.full((70, 3), -1, dtype=torch.int64, device=device)
    counts = torch.zeros(70, dtype=torch.int32, device=device)
    keep_near(codes._on_device(queries), codes._on_device(items), limits.int().to(device), counts, hits, 64)
    assert torch.equal(counts.cpu(), (products >= limits[:, None]).sum(dim=1).int())
    found, distance = (hits & (2**40 - 1)).cpu(), (hits >> 40).cpu()
    assert torch.equal(64 - 2 * distance, products.gather(1, found).long())
    assert all(len(set(row.tolist())) == 3 for row in found)


def test_limits_that_mislead_are_found_out(keep_near):
    # Every 128th code, the sample, equals the query: too few reach the limit. Then all are equal: too many do.
    for others in (255, 0):
        items = np.full((128 * 40, 8), others, np.uint8)
        items[::128] = 0
        codes = DeviceCodes("cuda" if torch.cuda.is_available() else "cpu", keep_near, smallest=1)
        codes.add(items)
        queries = np.zeros((2, 8), np.uint8)
        assert_same(codes.search(queries, 100), expected(items, queries, 100))


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
    scan.add(items)
    searcher = PopcountSearch(bits, device="cuda")
    searcher.add(items)
    assert_same(searcher.search(queries, k), scan.search(queries, k))
