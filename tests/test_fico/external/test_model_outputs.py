"""Outputs of a model from outside: counts that must fit, and labels that say one thing only."""

import numpy as np
import pytest
from typer.testing import CliRunner

from fico.cli.app import app
from fico.errors import DataError, UsageError
from fico.evaluation.evaluate import evaluate
from fico.external.model_outputs import ModelOutputs, consecutive_captions, evaluate_outputs
from fico.formats.arrays import load_labels
from fico.types import Correspondence


def run(*arguments):
    return CliRunner().invoke(app, ["evaluate", "--bootstrap", "2", *map(str, arguments)])


@pytest.fixture
def files(tmp_path):
    """Four images with three captions each."""
    generator = np.random.default_rng(0)
    images = generator.standard_normal((4, 5)).astype(np.float32)
    texts = images.repeat(3, axis=0) + generator.standard_normal((12, 5)).astype(np.float32)
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "texts.npy", texts)
    np.save(tmp_path / "i2t.npy", images @ texts.T)
    np.save(tmp_path / "t2i.npy", texts @ images.T)
    return tmp_path


@pytest.mark.parametrize(
    "options",
    [("--images", "texts.npy", "--texts", "images.npy"), ("--i2t", "t2i.npy"), ("--t2i", "i2t.npy")],
)
def test_swapped_files_and_transposed_scores_are_refused_with_the_way_out(files, options):
    arguments = [files / value if value.endswith(".npy") else value for value in options]
    done = run(*arguments, "--captions-per-image", 3)
    assert done.exit_code == 1
    assert "12 images and 4 captions are not 3 captions per image; the two sides look swapped" in done.stderr


def test_the_numbers_of_images_and_captions_must_fit(files):
    assert (
        run("--images", files / "images.npy", "--texts", files / "texts.npy", "--captions-per-image", 3).exit_code == 0
    )
    done = run("--images", files / "images.npy", "--texts", files / "texts.npy", "--captions-per-image", 2)
    assert "4 images and 12 captions are not 2 captions per image; give the image of each caption" in done.stderr


def test_consecutive_captions_form_groups():
    assert consecutive_captions(6, 3).caption_to_image.tolist() == [0, 0, 0, 1, 1, 1]
    with pytest.raises(DataError, match="7 captions do not make groups of 3"):
        consecutive_captions(7, 3)
    with pytest.raises(UsageError, match="whole number from 1"):
        consecutive_captions(6, 0)


def test_evaluating_outputs_is_evaluating_their_arrays(files):
    images, texts = np.load(files / "images.npy"), np.load(files / "texts.npy")
    pairs = Correspondence(np.repeat(np.arange(4), 3))
    wanted = evaluate(images, texts, pairs, similarity="inner", ties="index", bootstrap=2).metrics
    options = {"ties": "index", "bootstrap": 2}
    both = ModelOutputs(pairs, images=images, texts=texts, similarity="inner")
    assert evaluate_outputs(both, options).metrics == wanted
    with pytest.raises(UsageError, match="without caption embeddings"):
        evaluate_outputs(ModelOutputs(pairs, images=images), options)
    with pytest.raises(UsageError, match="unknown option tie; did you mean ties?"):
        evaluate_outputs(both, {"tie": "index"})


def test_one_column_of_zeros_and_ones_may_be_class_numbers_and_is_refused(files):
    column = np.array([0, 1, 1, 0])
    np.save(files / "labels.npy", column[:, None])
    with pytest.raises(DataError, match="single column of 0 and 1"):
        load_labels(str(files / "labels.npy"))
    np.save(files / "labels.npy", column[:, None].astype(bool))
    assert load_labels(str(files / "labels.npy")).tolist() == column[:, None].astype(bool).tolist()
