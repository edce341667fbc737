"""Every index comes back from its file as it was, or is refused by name; and what does not fit is not begun."""

import hashlib

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from fico.codes import HashCodes
from fico.errors import DataError, UsageError
from fico.search.exact import ExactSearch
from fico.search.faiss_index import FaissSearch
from fico.search.hamming import popcount as popcount_file
from fico.search.hamming.cpu import ScannedCodes
from fico.search.hamming.popcount import PopcountSearch, predicted_bytes
from fico.search.hybrid.hybrid import HybridSearch
from fico.search.sharded.saved import load_index
from fico.search.sharded.shards import ShardedSearch
from fico.util import resources

MAKERS = {
    "exact": lambda: ExactSearch("euclidean"),
    "exact codes": lambda: ExactSearch("hamming", 40),
    "popcount": lambda: PopcountSearch(threads=2),
    "popcount codes": lambda: PopcountSearch(40, threads=2),
    "popcount wide": lambda: PopcountSearch(640),
    "faiss flat": lambda: FaissSearch("Flat", "euclidean"),
    "faiss graph": lambda: FaissSearch("HNSW16", search_params={"efSearch": 40}, threads=1),
    "faiss lists": lambda: FaissSearch("IVF8,Flat", "inner", search_params={"nprobe": 3}, threads=1),
    "faiss codes": lambda: FaissSearch("BIVF8", bits=40, search_params={"nprobe": 3}, threads=1),
    "faiss itq": lambda: FaissSearch("BFlat", bits=16),
    "faiss shards": lambda: FaissSearch("Flat", shards=3),
    "hybrid": lambda: HybridSearch(bits=32, nprobe=4, candidates=60, threads=1),
    "sharded": lambda: ShardedSearch(lambda: PopcountSearch(40, threads=1), 3),
}


def rows(count, seed, codes):
    generator = np.random.default_rng(seed)
    if codes:
        return np.unpackbits(generator.integers(0, 256, (count, codes // 8), dtype=np.uint8), axis=1)
    return generator.normal(size=(count, 48)).astype(np.float32)


def data(name):
    codes = 640 if "wide" in name else 40 if "codes" in name or name == "sharded" else 0
    return rows(700, 1, codes), rows(20, 2, codes)


@pytest.mark.parametrize("name", MAKERS)
def test_a_saved_index_gives_the_same_results(name, tmp_path):
    items, queries = data(name)
    searcher = MAKERS[name]()
    searcher.add(items[:600])
    searcher.search(queries, 1)
    searcher.add(items[600:])
    before = searcher.search(queries, 30)
    searcher.save(tmp_path / "index")
    for load in (type(searcher).load, load_index):
        loaded = load(tmp_path / "index")
        after = loaded.search(queries, 30)
        assert np.array_equal(before.indices, after.indices)
        assert np.array_equal(before.scores, after.scores)
        assert after.scores.dtype == before.scores.dtype
        assert loaded.name == searcher.name
    loaded.add(items[:5])
    again = loaded.search(items[:5], 30)
    assert (again.indices.max(axis=1) >= 700).all()  # they are found, numbered behind the others


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "sharded"])
def test_broken_and_foreign_files_are_refused_by_name(name, tmp_path):
    items, _ = data(name)
    searcher, path = MAKERS[name](), tmp_path / "some.index"
    with pytest.raises(UsageError, match="call add"):
        searcher.save(path)
    searcher.add(items)
    searcher.save(path)
    whole = path.read_bytes()
    for broken, words in (
        (whole[:-100], "cut off"),
        (whole[:5], "cut off"),
        (b"", "cut off"),
        (whole[:-3] + bytes(255 - byte for byte in whole[-3:]), "checksum"),
    ):
        path.write_bytes(broken)
        with pytest.raises(DataError, match=rf"some\.index.*{words}"):
            type(searcher).load(path)
    path.write_bytes(whole)
    with safe_open(path, framework="numpy") as file:
        header, arrays = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    for changed, words in (
        ({"version": "1"}, "version 1.*reads 3"),
        ({"kind": "other"}, "kind 'other'"),
        ({"format": "x"}, "not an index file"),
    ):
        save_file(arrays, path, header | changed)
        for load in (type(searcher).load, load_index):
            with pytest.raises(DataError, match=words):
                load(path)
    with pytest.raises(DataError, match="does not exist"):
        type(searcher).load(tmp_path / "none")


def test_an_index_of_another_kind_is_refused(tmp_path):
    searcher = PopcountSearch(40)
    searcher.add(rows(50, 3, 40))
    searcher.save(tmp_path / "index")
    for other in (ExactSearch, FaissSearch, HybridSearch):
        with pytest.raises(DataError, match="'popcount'"):
            other.load(tmp_path / "index")


def test_a_shard_that_is_missing_is_named(tmp_path):
    searcher = ShardedSearch(lambda: ExactSearch("inner"), 2)
    searcher.add(rows(50, 4, 0))
    searcher.save(tmp_path)
    (tmp_path / "shard1.index").unlink()
    with pytest.raises(DataError, match=r"shard1\.index does not exist"):
        load_index(tmp_path)


@pytest.mark.parametrize("change", ["swapped", "repeated", "of another index"])
def test_shards_in_other_positions_than_the_plan_says_are_refused(tmp_path, change):
    for folder, seed in (("a", 4), ("b", 5)):
        searcher = ShardedSearch(lambda: ExactSearch("inner"), 2)
        searcher.add(rows(50, seed, 0))
        searcher.save(tmp_path / folder)
    first, second = (tmp_path / "a" / f"shard{number}.index" for number in range(2))
    both = first.read_bytes(), second.read_bytes()
    if change == "of another index":
        second.write_bytes((tmp_path / "b" / "shard1.index").read_bytes())
    else:
        second.write_bytes(both[0])
    if change == "swapped":
        first.write_bytes(both[1])
    with pytest.raises(DataError, match=r"shard\d\.index is not the shard that shards\.index names"):
        load_index(tmp_path / "a")


def _header(path, **changed):
    """Write an index file again with another header."""
    with safe_open(path, framework="numpy") as file:
        header, arrays = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    header |= changed
    save_file(arrays, path, {key: value for key, value in header.items() if value is not None})


def test_changed_settings_are_refused_as_changed_arrays_are(tmp_path):
    path, searcher = tmp_path / "index", FaissSearch("IVF8,Flat", "inner", search_params={"nprobe": 3}, threads=1)
    searcher.add(rows(300, 6, 0))
    searcher.save(path)
    with safe_open(path, framework="numpy") as file:
        settings = file.metadata()["settings"]
    _header(path, settings=settings.replace('"nprobe": 3', '"nprobe": 1'))
    with pytest.raises(DataError, match="checksum differs"):
        load_index(path)


def test_an_index_of_version_0_1_whose_checksum_leaves_out_the_settings_is_read(tmp_path):
    path, searcher = tmp_path / "index", ExactSearch("inner")
    searcher.add(rows(50, 6, 0))
    searcher.save(path)
    with safe_open(path, framework="numpy") as file:
        arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode() + arrays[name].tobytes())
    _header(path, digest=None, sha256=digest.hexdigest())
    assert load_index(path).name == searcher.name
    _header(path, sha256="0" * 64)
    with pytest.raises(DataError, match="checksum differs"):
        load_index(path)


@pytest.mark.parametrize("damage", ["zeroed", "one bit", "grown"])
def test_the_floats_of_a_hybrid_are_those_that_were_saved(tmp_path, damage):
    path, file = tmp_path / "index", tmp_path / "rows.bin"
    searcher = HybridSearch(bits=32, nprobe=4, candidates=60, threads=1, rows_path=file)
    searcher.add(rows(300, 6, 0))
    searcher.save(path)
    content = bytearray(file.read_bytes())
    if damage == "grown":  # by items that were added after the index was saved
        searcher.add(rows(10, 7, 0))
        assert load_index(path).search(rows(5, 8, 0), 10).indices.max() < 300
        return
    content[100] ^= 1
    file.write_bytes(bytes(len(content)) if damage == "zeroed" else content)
    with pytest.raises(DataError, match=r"rows\.bin was changed since the index was saved"):
        load_index(path)


def test_shards_without_items_are_not_saved(tmp_path):
    items, searcher = rows(40, 4, 40), ShardedSearch(lambda: PopcountSearch(40, 1), 5)
    whole = PopcountSearch(40)
    searcher.add(items[:3])
    searcher.save(tmp_path)
    loaded = ShardedSearch.load(tmp_path)
    whole.add(items)
    loaded.add(items[3:])
    assert len(list(tmp_path.iterdir())) == 4
    assert np.array_equal(loaded.search(items, 40).indices, whole.search(items, 40).indices)


def test_an_index_saved_with_numba_is_searched_by_faiss(tmp_path, monkeypatch):
    items, queries = rows(300, 5, 72), rows(5, 6, 72)
    searcher = PopcountSearch(72)
    searcher.add(items)
    searcher.save(tmp_path / "index")
    wanted = searcher.search(queries, 50)
    monkeypatch.setattr(popcount_file, "WIDEST", 0)
    loaded = PopcountSearch.load(tmp_path / "index")
    assert loaded.backend == "faiss"
    assert np.array_equal(loaded.search(queries, 50).indices, wanted.indices)


@pytest.fixture
def little_memory(monkeypatch):
    monkeypatch.setattr(resources, "SMALL", 0)
    monkeypatch.setattr(resources, "free_memory", lambda: 2**20)


def test_codes_that_do_not_fit_are_refused_before_they_are_made(little_memory):
    searcher = PopcountSearch(64, threads=1)
    searcher.add(rows(1000, 7, 64))
    with pytest.raises(UsageError, match=r"81000 codes of 64 bits.*1\.2 MiB of memory.*1\.0 MiB are free"):
        searcher.add(np.ones((80_000, 64), np.int8))
    with pytest.raises(UsageError, match=r"1000 nearest items of 5000 queries.*6[56]\.\d MiB"):
        searcher.search(np.ones((5000, 64), np.int8), 1000)
    assert searcher.search(np.ones((5, 64), np.int8), 10).indices.shape == (5, 10)


@pytest.mark.parametrize("factory", ["Flat", "HNSW32", "BFlat"])
def test_faiss_indexes_that_do_not_fit_are_refused(little_memory, factory):
    items = np.broadcast_to(np.float32(1), (300_000, 64)) if factory == "BFlat" else rows(6000, 8, 0)
    with pytest.raises(UsageError, match=rf"{len(items)} items in {factory}.*MiB are free"):
        FaissSearch(factory, bits=64 if factory == "BFlat" else None).add(items)


def test_floats_that_do_not_fit_memory_or_disk_are_refused(tmp_path, monkeypatch):
    items = rows(3000, 9, 0)
    monkeypatch.setattr(resources, "SMALL", 0)
    monkeypatch.setattr(resources, "free_memory", lambda: 2**19)
    with pytest.raises(UsageError, match=r"3000 items of 48 dimensions as float16.*rows_path"):
        HybridSearch(bits=32, rows="float16").add(items)
    monkeypatch.setattr(resources, "free_memory", lambda: 2**40)
    monkeypatch.setattr(resources, "free_disk", lambda path: 2**18)
    with pytest.raises(UsageError, match=r"need 562\.5 KiB of disk for .*rows\.bin, but 256\.0 KiB"):
        HybridSearch(bits=32, rows_path=tmp_path / "rows.bin").add(items)
    assert not (tmp_path / "rows.bin").exists()


def test_the_prediction_is_what_the_codes_take():
    codes = ScannedCodes(1)
    for bits in (8, 64, 72, 512):
        codes = ScannedCodes(1)
        zeros = HashCodes.from_packed(np.zeros((128 * 300, bits // 8), np.uint8), bits)
        codes.add(zeros)
        codes.search(zeros[:1], 1)
        assert codes.size_bytes == predicted_bytes(128 * 300, bits)


def test_free_sizes_of_this_machine_are_told(tmp_path):
    assert resources.free_memory() > 0
    assert resources.free_disk(tmp_path / "not" / "there" / "file") > 0
