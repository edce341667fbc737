import json

import numpy as np
import pytest
import torch

from fico.codes import HashCodes
from fico.embeddings.store import EmbeddingStore, check_finite
from fico.errors import DataError
from fico.types import Correspondence

IMAGES, CAPTIONS = 6, 14


def ids(count, prefix):
    return tuple(f"{prefix}{row}" for row in range(count))


def write(folder, images, texts, **changed):
    given = {
        "image_ids": ids(len(images), "img"),
        "caption_ids": ids(len(texts), "cap"),
        "correspondence": Correspondence(np.arange(len(texts)) % len(images)),
        "origin": {"model": "vsrn", "split": "test"},
    }
    return EmbeddingStore.write(folder, images, texts, **(given | changed))


@pytest.fixture
def generator():
    return np.random.default_rng(0)


@pytest.fixture
def floats(generator):
    return (
        generator.normal(size=(IMAGES, 5)).astype(np.float32),
        generator.normal(size=(CAPTIONS, 5)).astype(np.float32),
    )


@pytest.fixture
def codes(generator):
    return tuple(generator.choice([-1.0, 1.0], size=(n, 64)).astype(np.float32) for n in (IMAGES, CAPTIONS))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_come_back_as_they_were_written(tmp_path, floats, generator, dtype):
    images, texts = (side.astype(dtype) for side in floats)
    labels = generator.random((IMAGES, 11)) < 0.3
    written = write(tmp_path, images, texts, labels=labels)
    read = EmbeddingStore.load(tmp_path)
    for store in (written, read):
        assert store.images.dtype == dtype
        np.testing.assert_array_equal(store.images, images)
        np.testing.assert_array_equal(store.texts, texts)
        np.testing.assert_array_equal(store.labels, labels)
    assert read.image_ids == ids(IMAGES, "img")
    assert read.caption_ids == ids(CAPTIONS, "cap")
    np.testing.assert_array_equal(read.correspondence.caption_to_image, np.arange(CAPTIONS) % IMAGES)
    assert read.origin == {"model": "vsrn", "split": "test"}
    assert read.bits is None


def test_tensors_and_arrays_are_stored_alike(tmp_path, floats):
    images, texts = floats
    one = write(tmp_path / "arrays", images, texts)
    two = write(tmp_path / "tensors", torch.from_numpy(images), torch.from_numpy(texts).requires_grad_())
    np.testing.assert_array_equal(one.images, two.images)
    np.testing.assert_array_equal(one.texts, two.texts)


def test_bfloat16_keeps_its_values(tmp_path, floats):
    images, texts = (torch.from_numpy(side).bfloat16() for side in floats)
    assert write(tmp_path, images, texts).images.tolist() == images.float().tolist()


@pytest.mark.parametrize("form", ["signs", "bits", "int8"])
def test_codes_take_a_bit_each_and_come_back(tmp_path, codes, form):
    given = {"signs": codes, "bits": [side > 0 for side in codes], "int8": [side.astype(np.int8) for side in codes]}
    images, texts = (np.asarray(side) for side in given[form])
    write(tmp_path, images, texts, bits=64)
    store = EmbeddingStore.load(tmp_path)
    assert store.images.shape == (IMAGES, 8)
    assert store.stored_bytes == 8 * (IMAGES + CAPTIONS)
    assert store.unpacked_bytes == 64 * (IMAGES + CAPTIONS)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert (manifest["bits"], manifest["stored_bytes"], manifest["unpacked_bytes"]) == (64, 160, 1280)
    np.testing.assert_array_equal(HashCodes.from_packed(store.images, 64).to_signs(), codes[0])
    np.testing.assert_array_equal(HashCodes.from_packed(store.texts, 64).to_signs(), codes[1])


@pytest.mark.parametrize("value", [0.0, 0.5, 2.0, np.nan])
def test_a_third_value_in_a_code_is_refused_with_its_id(tmp_path, codes, value):
    images, texts = codes
    images[3, 7] = value
    with pytest.raises(DataError, match="img3"):
        write(tmp_path, images, texts, bits=64)
    assert not (tmp_path / "manifest.json").exists()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_are_named_and_counted(tmp_path, floats, value):
    images, texts = floats
    for row in (1, 3, 8, 9, 13):
        texts[row, row % 5] = value
    with pytest.raises(DataError, match=r"vsrn .* 5 of 14 captions \(cap1, cap3, cap8, \.\.\.\)"):
        write(tmp_path, images, texts)
    assert list(tmp_path.iterdir()) == []


def test_finite_embeddings_pass_and_a_single_bad_row_is_named_alone():
    check_finite(torch.zeros(3, 2), ["a", "b", "c"], "image", "vsrn")
    with pytest.raises(DataError, match=r"1 of 3 images \(b\)"):
        check_finite(torch.tensor([[0.0, 0.0], [0.0, torch.nan], [1.0, 1.0]]), ["a", "b", "c"], "image", "vsrn")


@pytest.mark.parametrize("file", ["images.safetensors", "texts.safetensors"])
@pytest.mark.parametrize("damage", ["truncated", "changed", "missing"])
def test_a_damaged_file_is_refused_by_name(tmp_path, floats, file, damage):
    write(tmp_path, *floats)
    path = tmp_path / file
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(content[:-7])
    elif damage == "changed":
        content[-1] ^= 1
        path.write_bytes(content)
    else:
        path.unlink()
    with pytest.raises(DataError, match=file):
        EmbeddingStore.load(tmp_path)


@pytest.mark.parametrize("content", ["", "[1]", '{"a": 1}', '{"schema_version": 99}'])
def test_a_damaged_manifest_is_refused_by_name(tmp_path, floats, content):
    write(tmp_path, *floats)
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(DataError, match=r"manifest\.json"):
        EmbeddingStore.load(tmp_path)


def test_a_folder_without_manifest_is_no_store(tmp_path):
    with pytest.raises(DataError, match=r"manifest\.json"):
        EmbeddingStore.load(tmp_path)


@pytest.mark.parametrize("fails", [1, 2])
def test_an_interrupted_write_leaves_no_store_not_even_the_old_one(tmp_path, floats, monkeypatch, fails):
    write(tmp_path, *floats)
    import fico.embeddings.store

    calls = []
    real = fico.embeddings.store.save_tensors

    def failing(tensors, path):
        calls.append(path)
        if len(calls) == fails:
            raise KeyboardInterrupt
        real(tensors, path)

    monkeypatch.setattr(fico.embeddings.store, "save_tensors", failing)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, floats[0] + 1, floats[1])
    assert not (tmp_path / "manifest.json").exists()
    assert not list(tmp_path.glob(".*.part"))
    with pytest.raises(DataError, match="manifest"):
        EmbeddingStore.load(tmp_path)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"image_ids": ids(5, "img")}, "6 images .* 5 ids"),
        ({"caption_ids": ("cap0",) * CAPTIONS}, "unique"),
        ({"correspondence": Correspondence([0, 1])}, "2 captions"),
        ({"correspondence": Correspondence([6] * CAPTIONS)}, "image row 6"),
        ({"labels": np.ones((5, 3), bool)}, "5 label rows"),
        ({"bits": 8}, "5 bits, but bits is 8"),
    ],
)
def test_counts_that_disagree_are_refused(tmp_path, floats, changed, words):
    with pytest.raises(DataError, match=words):
        write(tmp_path, *floats, **changed)


def test_sides_of_different_width_are_refused(tmp_path, floats):
    with pytest.raises(DataError, match="4 columns, captions 5"):
        write(tmp_path, floats[0][:, :4], floats[1])


def test_a_row_behind_the_first_block_is_checked_too():
    rows = np.zeros((65_540, 2), dtype=np.float32)
    rows[65_537, 1] = np.nan
    with pytest.raises(DataError, match=r"1 of 65540 images \(65537\)"):
        check_finite(rows, range(65_540), "image", "vsrn")
