"""Frozen readers in memory give the features that a data set gets, and leave no trace in the cache."""

import numpy as np
import pytest

from fico.datasets.shapes.shapes import Shapes
from fico.features.image.lite0 import Lite0
from fico.features.text.tfidf import TfIdf
from fico.inference import frozen
from fico.inference.inputs import as_split
from fico.util.cache import cache_dir


@pytest.fixture(scope="module")
def scenes():
    data = Shapes(images=30)
    return data.split("train"), data.split("test")


@pytest.fixture
def cached(scenes):
    """Number of arrays in the cache of features."""
    return lambda: len(list((cache_dir() / "features").glob("*")))


@pytest.mark.parametrize("kind", ["global", "regions"])
def test_images_get_the_features_of_their_data_set(kind, scenes, cached, tmp_path):
    images = dict(zip(scenes[1].image_ids[:2], scenes[1].image_paths[:2], strict=True))
    split, reader = as_split("search", "images", images=images), Lite0(kind)
    encode, before = frozen.image_encoder(reader, tmp_path), cached()
    made = np.stack(encode(split))
    assert cached() == before
    np.testing.assert_allclose(made, reader.features(tmp_path, {"images": split}).rows["images"], atol=1e-5)


def test_captions_get_the_features_of_their_data_set_and_training_captions_are_read_once(
    scenes, cached, tmp_path, monkeypatch
):
    train, test = scenes
    reader = TfIdf(dim=8)
    stored = reader.features(tmp_path, {"train": train, "test": test}).rows["test"]
    encode, before = frozen.text_encoder(reader, train, tmp_path), cached()
    monkeypatch.setattr(frozen, "TfIdfSpace", None)
    np.testing.assert_allclose(np.stack(encode(test)), stored, atol=1e-6)
    np.testing.assert_allclose(encode(test)[0], stored[0], atol=1e-6)
    assert cached() == before


def test_another_reader_gives_its_features(scenes, tmp_path):
    class Counts:
        def features(self, root, splits, *, progress):
            rows = {name: np.array([[len(words)] for words in split.tokens]) for name, split in splits.items()}
            return type("Features", (), {"rows": rows})

    encode = frozen.text_encoder(Counts(), scenes[0], tmp_path)
    assert [row.tolist() for row in encode(scenes[1])[:2]] == [[len(words)] for words in scenes[1].tokens[:2]]
