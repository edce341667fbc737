"""The embeddings of a run as the features of a hash head."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

import fico
from fico.datasets.shapes.shapes import Shapes
from fico.errors import UsageError
from fico.experiment.config.pairing import check_data
from fico.inference.run_embeddings import RunEmbeddings

IMAGES = 30  # of the runs


@pytest.fixture(scope="module")
def head(runs, tmp_path_factory, warm_python):
    """A hash head on the embeddings of linear CCA, bits beyond whose five directions start at random."""
    folder = tmp_path_factory.mktemp("head")
    done = warm_python(
        "run.py", "model=hash_head", f"model.source={runs['cca']}", f"dataset.images={IMAGES}", "model.bits=16",
        "model.epochs=2", "index=[]", "metric.bootstrap=2", "logger=none", f"hydra.run.dir={folder}",
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_embeddings_of_a_split_are_those_that_the_run_stored(runs, tested):
    store = fico.EmbeddingStore.load(runs["cca"] / "embeddings")
    for side, stored in (("image", store.images), ("text", store.texts)):
        found = RunEmbeddings(str(runs["cca"]), side).features(Path(), {"test": tested})
        np.testing.assert_allclose(found.rows["test"], stored, atol=1e-5)
        assert found.origin == f"{side} embeddings of cca"


def test_a_run_that_was_tested_on_another_split_is_told_in_the_origin(runs, tested):
    other = replace(tested, fingerprint="ab" * 32)
    found = RunEmbeddings(str(runs["cca"]), "text").features(Path(), {"test": other})
    assert "may be among those it was trained on" in found.origin


@pytest.mark.parametrize(("model", "message"), [("ucch", "has codes already"), ("scan", "scores pairs")])
def test_runs_without_one_float_vector_an_item_are_refused(model, message, runs):
    with pytest.raises(UsageError, match=message):
        RunEmbeddings(str(runs[model]), "image").check(None)


@pytest.mark.parametrize(("model", "message"), [("ucch", "has codes already"), ("scan", "scores pairs")])
def test_a_hash_head_on_such_a_run_is_refused_before_anything_begins(model, message, runs):
    config = OmegaConf.create({"model": {"name": "hash_head", "source": str(runs[model])}})
    with pytest.raises(UsageError, match=message):
        check_data(config)


def test_a_hash_head_encodes_new_images_and_texts_through_its_source(head, tested):
    run, store = fico.load_run(head), fico.EmbeddingStore.load(head / "embeddings")
    assert run.bits == store.bits == 16
    for made, stored in (
        (run.encode_images(tested.image_paths), store.images),
        (run.encode_texts(tested.captions), store.texts),
    ):
        assert np.unpackbits(np.packbits(made > 0, axis=1) ^ stored).mean() < 1e-3
    assert len(run.search(texts=tested.captions[:1], k=3).hits[0]) == 3


def test_the_source_is_in_the_origin_of_the_inputs(head):
    assert "embeddings of cca" in (head / "inputs" / "manifest.json").read_text()


def test_a_training_caption_keeps_the_words_that_its_data_set_gave(runs):
    train = Shapes(images=IMAGES).split("train")
    assert fico.load_run(runs["cca"])._stored.words(train.captions[0]) == train.tokens[0]


def test_a_source_that_is_not_there_ends_with_one_sentence(tmp_path, warm_python):
    done = warm_python("run.py", "model=hash_head", "model.source=nowhere", f"hydra.run.dir={tmp_path}")
    assert done.returncode == 2
    assert "model.source is nowhere, but there is no such folder" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
