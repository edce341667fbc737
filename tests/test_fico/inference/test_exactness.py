"""A run in use gives what its test gave."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fico
from fico.scoring.candidates import FILL, candidates

ROOT = Path(__file__).resolve().parents[3]
MODELS = ("vsrn", "scan", "imram", "cca", "ucch", "dadh", "adv", "xvlm", "blip2", "beit3", "clip")


@pytest.fixture(scope="module")
def loaded(runs):
    """Opens each run once."""
    return cache(lambda model: fico.load_run(runs[model]))


@pytest.mark.parametrize("model", MODELS)
def test_new_images_and_texts_get_the_embeddings_that_the_test_stored(model, loaded, runs, tested):
    run, store = loaded(model), fico.EmbeddingStore.load(runs[model] / "embeddings")
    for made, stored in (
        (run.encode_images(tested.image_paths), store.images),
        (run.encode_texts(tested.captions), store.texts),
    ):
        if store.bits is None:
            np.testing.assert_allclose(made, stored, atol=1e-5)
        else:
            differing = np.unpackbits(np.packbits(made > 0, axis=1) ^ stored).mean()
            assert set(np.unique(made)) <= {-1, 1}
            assert differing < 1e-3  # a value at the threshold may fall on the other side in another batch


@pytest.mark.parametrize("model", MODELS)
def test_a_text_is_embedded_the_same_alone_and_among_others(model, loaded, tested):
    run = loaded(model)
    alone, among = run.encode_texts(tested.captions[:1]), run.encode_texts(tested.captions[:9])[:1]
    width = alone.shape[1] if alone.ndim == 3 else None  # of a pair scorer the rest is padding
    np.testing.assert_allclose(alone, among[:, :width] if width else among, atol=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_a_search_finds_what_the_test_ranked_first(model, loaded, runs, tested):
    run, store = loaded(model), fico.EmbeddingStore.load(runs[model] / "embeddings")
    expected = {"t2i": run_scores(run, store, runs[model]).T, "i2t": run_scores(run, store, runs[model])}
    if run.model.get("rerank"):
        expected = reranked(run, store, runs[model])
    texts, images = tested.captions[:4], tested.image_paths[:4]
    for direction, found in (("t2i", run.search(texts=texts, k=3)), ("i2t", run.search(images=images, k=3))):
        best = -np.sort(-expected[direction][:4], axis=1)[:, :3]
        got = np.array([[hit.score for hit in hits] for hits in found.hits])
        np.testing.assert_allclose(got, best, atol=1e-4)
        assert [hit.rank for hit in found.hits[0]] == [1, 2, 3]


def run_scores(run, store, folder):
    """Scores of the test, ``images captions``."""
    if store.images.ndim == 3:
        return np.load(folder / "scores.npy")
    images, texts = run_rows(store.images, store.bits), run_rows(store.texts, store.bits)
    if run.model["similarity"] == "hamming":
        return (images @ texts.T - store.bits) / 2
    if run.model["similarity"] == "cosine":
        images, texts = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (images, texts))
    return images @ texts.T


def run_rows(rows, bits):
    return rows if bits is None else np.unpackbits(rows, axis=1, count=bits).astype(np.float32) * 2 - 1


def reranked(run, store, folder):
    rerank = run.model["rerank"]
    scores = np.load(folder / "scores.npy") if store.images.ndim == 3 else None
    both = candidates(store.images, store.texts, rerank["k"], scores).filled(
        np.load(folder / "rerank.npy")[0], rerank["rule"]
    )
    assert (both.t2i > FILL).sum(axis=1).min() >= 3
    return {"i2t": both.i2t, "t2i": both.t2i}


@pytest.mark.parametrize("model", ["vsrn", "beit3"])
def test_an_opened_image_is_encoded_as_its_file(model, loaded, tested):
    run, path = loaded(model), tested.image_paths[0]
    with Image.open(path) as image:
        np.testing.assert_allclose(run.encode_images([image]), run.encode_images([path]), atol=1e-5)


def test_an_image_is_read_upright(loaded, tested, tmp_path):
    run, path = loaded("beit3"), tmp_path / "turned.png"
    with Image.open(tested.image_paths[0]) as image:
        turned = image.transpose(Image.Transpose.ROTATE_90)
        exif = Image.Exif()
        exif[0x0112] = 6
        turned.save(path, exif=exif)
        upright = image.convert("RGB")
    np.testing.assert_allclose(run.encode_images([path]), run.encode_images([upright]), atol=1e-5)


def test_no_framework_is_loaded(runs):
    code = (
        f"import sys, fico; fico.load_run({str(runs['vsrn'])!r}).search(texts=['a red circle']); "
        "known = ('pytorch_lightning', 'hydra', 'omegaconf', 'wandb', 'models'); "
        "print([name for name in known if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
