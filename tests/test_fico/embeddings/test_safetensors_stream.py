"""Tensors written in blocks are the very file that the library of the format writes."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from fico.embeddings.safetensors_stream import save_tensors


@pytest.mark.parametrize("block", [1, 40, 2**20])
def test_the_bytes_are_those_of_the_format(tmp_path, monkeypatch, block):
    monkeypatch.setattr("fico.embeddings.safetensors_stream.BLOCK_BYTES", block)
    generator = np.random.default_rng(0)
    tensors = {
        "texts": generator.random((7, 3)).astype(np.float32),
        "lengths": np.arange(7),
        "labels": generator.integers(0, 255, (7, 2)).astype(np.uint8),
        "words": generator.random((4, 3, 2)).astype(np.float16),
        "transposed": generator.random((3, 5)).T,
    }
    save_file({name: np.ascontiguousarray(array) for name, array in tensors.items()}, tmp_path / "wanted")
    save_tensors(tensors, tmp_path / "found")
    assert (tmp_path / "found").read_bytes() == (tmp_path / "wanted").read_bytes()
    assert all(np.array_equal(array, tensors[name]) for name, array in load_file(tmp_path / "found").items())


def test_a_dtype_that_no_embedding_has_is_refused(tmp_path):
    with pytest.raises(KeyError, match="complex128"):
        save_tensors({"x": np.zeros(2, complex)}, tmp_path / "file")
