"""What a run stores of its inputs."""

from dataclasses import replace

import pytest

from fico.datasets.shapes.shapes import Shapes
from fico.errors import DataError
from fico.features import model_inputs
from fico.inference.inputs import StoredInputs, as_split, write_inputs


@pytest.fixture(scope="module")
def shapes():
    return Shapes(images=20)


def stored(folder, shapes, tested=None):
    inputs = model_inputs(shapes, ["train", "test"], image="global", text="words", progress=False)
    write_inputs(
        folder, shapes.split("train"), tested or shapes.split("test"), inputs, {"image": "global", "text": "words"}
    )
    return StoredInputs.load(folder)


def test_captions_words_and_files_are_those_of_the_splits(shapes, tmp_path):
    inputs = stored(tmp_path, shapes)
    assert inputs.train.captions == shapes.split("train").captions
    assert inputs.train.tokens == shapes.split("train").tokens
    assert inputs.captions == shapes.split("test").captions
    assert inputs.image_paths == tuple(path.resolve() for path in shapes.split("test").image_paths)


def test_a_caption_of_the_tested_split_keeps_the_words_that_its_data_set_gave(shapes, tmp_path):
    test = shapes.split("test")
    tested = replace(
        test, captions=("A man in a t-shirt.", *test.captions[1:]), tokens=(("man", "tshirt"), *test.tokens[1:])
    )
    inputs = stored(tmp_path, shapes, tested)
    assert inputs.words("A man in a t-shirt.") == ("man", "tshirt")
    assert inputs.words("a man in a t-shirt") == ("a", "man", "in", "a", "t", "shirt")


def test_an_older_run_is_told_apart(tmp_path):
    with pytest.raises(DataError, match="stores no inputs"):
        StoredInputs.load(tmp_path)


def test_another_version_is_refused(shapes, tmp_path):
    stored(tmp_path, shapes)
    manifest = tmp_path / "inputs" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"schema_version": 1', '"schema_version": 9'))
    with pytest.raises(DataError, match="schema_version 9"):
        StoredInputs.load(tmp_path)


def test_images_and_texts_of_a_query_need_not_belong_together(tmp_path):
    split = as_split("search", "texts", captions=["a", "b"], tokens=[["a"], ["b"]])
    assert (split.image_ids, split.caption_ids) == ((), ("text 1", "text 2"))
