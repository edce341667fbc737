"""Doc2Vec: fitted on training captions, the same in every process and order."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest

from fico.datasets.shapes.shapes import Shapes
from fico.errors import DataError
from fico.features import model_inputs
from fico.features.text import doc2vec, treebank
from fico.features.text import doc2vec_features as texts

ROOT = Path(__file__).resolve().parents[4]
TOPICS = 4
# Captions in turn about one of four topics with 40 words each: so few words that none is rare, so many that
# subsampling does not drop them all.
CAPTIONS = [
    " ".join(f"topic{row % TOPICS}word{word}" for word in Random(row).sample(range(40), 8)) for row in range(400)
]


@pytest.fixture(scope="module")
def model():
    return doc2vec.fit(CAPTIONS, progress=False)


def test_a_caption_has_one_vector_whatever_surrounds_it(model):
    captions = [*CAPTIONS[:2], "unknown words only", CAPTIONS[0], ""]
    rows = doc2vec.infer(model, captions, progress=False)
    assert rows.shape == (5, 300)
    assert np.isfinite(rows).all()
    assert (rows[0] == rows[3]).all()
    assert (rows[0] == doc2vec.infer(model, CAPTIONS[:1], progress=False)[0]).all()
    assert not np.allclose(rows[0], rows[1])
    assert np.linalg.norm(rows[2]) > 0


def test_a_process_with_another_hash_seed_agrees(model):
    code = (
        "import hashlib; from fico.features.text import doc2vec\n"
        f"captions = {CAPTIONS!r}\n"
        "rows = doc2vec.infer(doc2vec.fit(captions, progress=False), captions[:9], progress=False)\n"
        "print(hashlib.sha256(rows.tobytes()).hexdigest())"
    )
    salted = os.environ | {"PYTHONHASHSEED": "4242"}
    there = subprocess.run([sys.executable, "-c", code], env=salted, cwd=ROOT, capture_output=True, text=True)
    assert there.returncode == 0, there.stderr
    here = doc2vec.infer(model, CAPTIONS[:9], progress=False)
    assert there.stdout.strip() == hashlib.sha256(here.tobytes()).hexdigest()


def test_captions_on_one_topic_lie_nearer(model):
    rows = doc2vec.infer(model, CAPTIONS[:80], progress=False)
    rows = rows - rows.mean(axis=0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    topics = np.arange(80) % TOPICS
    same = (topics[:, None] == topics) & ~np.eye(80, dtype=bool)
    alike = rows @ rows.T
    assert alike[same].mean() > alike[topics[:, None] != topics].mean() + 0.15


def test_the_fit_sees_training_captions_only(monkeypatch, tmp_path):
    monkeypatch.setenv("FICO_CACHE_DIR", str(tmp_path))
    dataset = Shapes(20, progress=False)
    seen = []
    whole_fit = doc2vec.fit
    monkeypatch.setattr(doc2vec, "fit", lambda captions, **kw: seen.extend(captions) or whole_fit(captions, **kw))
    made = model_inputs(dataset, ["test"], image="global", text="doc2vec", progress=False)
    assert tuple(seen) == dataset.split("train").captions
    assert made.splits["test"].texts.shape == (100, 300)
    assert made.sizes["text_dim"] == 300
    assert made.bytes_per_text == 1200
    assert made.vocabulary is None
    again = model_inputs(dataset, ["test"], image="global", text="doc2vec", progress=False)
    assert len(seen) == 100, "the second time comes from the cache"
    assert (again.splits["test"].texts == made.splits["test"].texts).all()


def test_the_cache_and_the_model_agree_on_the_size():
    assert texts.DIM == doc2vec.DIM


def test_tokens_follow_the_treebank():
    told = treebank.tokenize("The dog's T-shirt isn't red.")
    assert told == ["the", "dog", "'s", "t-shirt", "is", "n't", "red", "."]
    told = treebank.tokenize('A sign says "Stop, now" ...')
    assert told == [
        "a",
        "sign",
        "says",
        "``",
        "stop",
        ",",
        "now",
        "''",
        "...",
    ]
    assert treebank.tokenize("We'll see (two).") == ["we", "'ll", "see", "(", "two", ")", "."]


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("I cannot run", "i can not run"),
        ("gonna go", "gon na go"),
        ("3,000 dogs at 1/2", "3,000 dogs at 1/2"),
        ("five o'clock", "five o'clock"),
        ("a -- b", "a -- b"),
        ("A dog. A cat.", "a dog . a cat ."),
    ],
)
def test_tokens_are_those_of_nltks_word_tokenize(caption, words):
    assert treebank.tokenize(caption) == words.split()


def test_a_saved_model_infers_the_same_vectors_without_its_documents(model, tmp_path):
    path = tmp_path / "doc2vec.safetensors"
    doc2vec.save_inference_state(model, path)
    again = doc2vec.load_inference_state(path)
    asked = [*CAPTIONS[:9], "a word that nobody knows", "zebra"]
    assert np.array_equal(doc2vec.infer(again, asked, progress=False), doc2vec.infer(model, asked, progress=False))
    assert not len(again.dv)


def test_a_damaged_saved_model_is_named(model, tmp_path):
    path = tmp_path / "doc2vec.safetensors"
    doc2vec.save_inference_state(model, path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="damaged"):
        doc2vec.load_inference_state(path)
