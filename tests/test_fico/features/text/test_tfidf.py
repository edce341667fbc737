"""Tf-idf: its definition, and what it may not know."""

from dataclasses import replace
from math import log

import numpy as np
import pytest

from fico.datasets.shapes.shapes import Shapes
from fico.errors import UsageError
from fico.features.text import tfidf
from fico.features.text.tfidf import TfIdf, TfIdfSpace


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    dataset = Shapes(60, root=tmp_path_factory.mktemp("scenes"), progress=False)
    return {name: dataset.split(name) for name in ("train", "val")}


def slow(captions, train):
    """The definition, word by word."""
    words = sorted({word for caption in train for word in caption})
    rows = []
    for caption in captions:
        row = [
            (1 + log(caption.count(word))) * (1 + log((1 + len(train)) / (1 + sum(word in other for other in train))))
            if word in caption
            else 0.0
            for word in words
        ]
        rows.append(np.array(row) / max(np.linalg.norm(row), 1e-12))
    return np.array(rows)


def features(splits, **how):
    return TfIdf(**how).features(None, splits)


def test_each_word_has_its_weight(splits):
    found = features(splits, dim=None)
    for name, split in splits.items():
        np.testing.assert_allclose(found.rows[name], slow(split.tokens, splits["train"].tokens), atol=1e-6)
        assert found.rows[name].dtype == np.float32


def test_directions_are_those_of_the_singular_value_decomposition(splits):
    plain, reduced = features(splits, dim=None).rows, features(splits, dim=6).rows
    assert reduced["val"].shape == (len(splits["val"].captions), 6)
    _, _, directions = np.linalg.svd(plain["train"].astype(np.float64), full_matrices=False)
    for name in splits:
        wanted = plain[name] @ directions[:6].T
        np.testing.assert_allclose(reduced[name] @ reduced[name].T, wanted @ wanted.T, atol=1e-4)


def test_the_same_captions_give_the_same_values(splits):
    first, second = features(splits, dim=6), features(splits, dim=6)
    assert all(np.array_equal(first.rows[name], second.rows[name]) for name in splits)


def test_captions_outside_of_training_change_nothing(splits):
    others = replace(splits["val"], tokens=(("zebra", "zebra"),) * len(splits["val"].tokens))
    changed = features({"train": splits["train"], "val": others}, dim=6).rows
    assert np.array_equal(changed["train"], features(splits, dim=6).rows["train"])
    assert not changed["val"].any(), "no word is known"


def test_rare_words_are_left_out_and_named_in_the_origin(splits):
    tokens = (("once", *splits["train"].tokens[0]), *splits["train"].tokens[1:])
    train = replace(splits["train"], tokens=tokens)
    every, frequent = (features({"train": train}, dim=None, min_count=count) for count in (1, 2))
    assert every.rows["train"].shape[1] > frequent.rows["train"].shape[1]
    assert f"{frequent.rows['train'].shape[1]} words" in frequent.origin


@pytest.mark.parametrize("how", [{"dim": 0}, {"min_count": 0}])
def test_sizes_below_one_are_refused(how):
    with pytest.raises(UsageError, match="at least 1"):
        TfIdf(**how)


def test_directions_come_from_the_cache_and_change_with_the_captions(splits, monkeypatch, tmp_path):
    monkeypatch.setattr("fico.features.cache.cache_dir", lambda: tmp_path)
    first = features(splits, dim=6)
    with monkeypatch.context() as patched:
        patched.setattr(tfidf, "svds", lambda *given, **how: pytest.fail("decomposed again"))
        again = features(splits, dim=6)
    assert all(np.array_equal(first.rows[name], again.rows[name]) for name in splits)
    fewer = replace(splits["train"], tokens=splits["train"].tokens[:-10])
    assert not np.array_equal(features({"train": fewer}, dim=6).rows["train"], first.rows["train"][:-10])


@pytest.mark.parametrize("dim", [6, None])
def test_the_vector_of_a_caption_is_a_sum_of_its_words(splits, dim):
    train = splits["train"].tokens
    space = TfIdfSpace(train, dim)
    counts = np.array([[1 + log(caption.count(w)) if w in caption else 0 for w in space.words] for caption in train])
    lengths = np.linalg.norm(counts * TfIdfSpace(train, None).word_vectors.max(axis=1), axis=1)
    np.testing.assert_allclose(counts @ space.word_vectors / lengths[:, None], space.vectors(train), atol=1e-5)
