"""No searcher keeps an array that its caller may overwrite."""

import numpy as np
import pytest
import torch

from fico.search.exact import ExactSearch
from fico.search.faiss_index import FaissSearch
from fico.search.gpu import device as device_file
from fico.search.gpu.screened_floats import ScreenedFloats
from fico.search.hamming import popcount as popcount_file
from fico.search.hamming.popcount import PopcountSearch
from fico.search.hybrid.hybrid import HybridSearch
from fico.search.sharded.shards import ShardedSearch

CODES = {
    "popcount": lambda: PopcountSearch(64, threads=1),
    "popcount of short codes": lambda: PopcountSearch(24, threads=1),
    "popcount of wide codes": lambda: PopcountSearch(640, threads=1),
    "exact": lambda: ExactSearch("hamming", 64),
    "faiss": lambda: FaissSearch("BFlat", bits=64),
    "sharded": lambda: ShardedSearch(lambda: PopcountSearch(64, threads=1), 2),
}
FLOATS = {
    "exact": lambda: ExactSearch("inner"),
    "exact euclidean": lambda: ExactSearch("euclidean"),
    "faiss": lambda: FaissSearch("Flat", "inner"),
    "popcount": lambda: PopcountSearch(32, threads=1),
    "hybrid": lambda: HybridSearch("inner", bits=32, nprobe=99, threads=1),
    "sharded": lambda: ShardedSearch(lambda: ExactSearch("inner"), 2),
}


def assert_untouched(searcher, buffer, parts, overwrite):
    """Items added through one buffer are found as they were."""
    for part in parts:
        buffer[:] = part
        searcher.add(buffer)
        overwrite(buffer)
    for number, part in enumerate(parts):
        wanted = np.arange(len(part)) + number * len(part)
        assert (searcher.search(part, 1).indices[:, 0] == wanted).mean() > 0.99


def packed(rows, bits, seed):
    return np.random.default_rng(seed).integers(0, 256, (rows, bits // 8), dtype=np.uint8)


@pytest.mark.parametrize("name", CODES)
def test_a_buffer_of_codes_may_be_used_again(name):
    bits = 24 if "short" in name else 640 if "wide" in name else 64
    parts = [packed(200, bits, seed) for seed in (0, 1)]
    assert_untouched(CODES[name](), parts[0].copy(), parts, lambda buffer: buffer.fill(0))


def test_a_buffer_of_codes_that_faiss_searches_may_be_used_again(monkeypatch):
    monkeypatch.setattr(popcount_file, "WIDEST", 0)
    parts = [packed(200, 64, seed) for seed in (0, 1)]
    assert_untouched(PopcountSearch(64), parts[0].copy(), parts, lambda buffer: buffer.fill(0))


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("of", [np.array, torch.tensor])
def test_a_buffer_of_floats_may_be_used_again(name, of):
    generator = np.random.default_rng(0)
    parts = [generator.normal(size=(300, 48)).astype(np.float32) for _ in range(2)]
    parts = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts]
    buffer = of(parts[0])
    assert_untouched(FLOATS[name](), buffer, [of(part) for part in parts], lambda buffer: buffer.__imul__(0))


def test_codes_that_a_hybrid_is_given_may_be_overwritten():
    generator = np.random.default_rng(0)
    items, codes = generator.normal(size=(300, 48)).astype(np.float32), packed(300, 64, 1)
    searcher = HybridSearch("inner", bits=32, candidates=1, nprobe=99, threads=1)
    given = np.unpackbits(codes, axis=1)
    searcher.add(items, codes=given)
    given[:] = 0
    found = searcher.search(items, 1, codes=np.unpackbits(codes, axis=1))
    assert np.array_equal(found.indices[:, 0], np.arange(300))


@pytest.mark.parametrize("similarity", ["inner", "cosine"])
def test_a_tensor_where_the_items_lie_may_be_overwritten(similarity, monkeypatch):
    monkeypatch.setattr(device_file, "_is_elsewhere", lambda values: True)  # as if the CPU were a GPU
    rows = torch.nn.functional.normalize(torch.randn(90, 8, generator=torch.Generator().manual_seed(0)))
    searcher, buffer = ExactSearch(similarity), rows.clone()
    searcher._screened = ScreenedFloats("cpu", similarity == "cosine")
    searcher.add(buffer)
    buffer.zero_()
    torch.testing.assert_close(searcher._screened.rows(), rows)


def test_a_file_that_cannot_be_written_through_its_map_stays_where_it_lies(tmp_path):
    np.save(tmp_path / "rows.npy", np.ones((20, 4), np.float32))
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    searcher = ExactSearch("inner")
    searcher.add(mapped)
    assert np.shares_memory(searcher._items[0], mapped)
