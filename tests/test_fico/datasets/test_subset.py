"""A subset is the first images of every split with all their captions, and never passes for the whole."""

import numpy as np
import pytest

import fico
from fico.datasets.shapes.shapes import Shapes
from fico.datasets.subset import first_images, whole_name
from fico.errors import UsageError


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    dataset = Shapes(20, root=tmp_path_factory.mktemp("scenes"), progress=False)
    dataset.split("train")
    return dataset


def test_it_holds_the_first_images_with_their_captions_and_labels(whole):
    split, every = first_images(whole, 3).split("train"), whole.split("train")
    assert split.image_ids == every.image_ids[:3]
    assert split.labels.tolist() == every.labels[:3].tolist()
    kept = np.flatnonzero(every.correspondence.caption_to_image < 3)
    assert split.captions == tuple(every.captions[row] for row in kept)
    split.correspondence.check(3, len(split.captions))


def test_its_name_fingerprint_and_notes_tell_it_from_the_whole(whole):
    subset = first_images(whole, 3)
    split = subset.split("train")
    assert (subset.name, split.dataset) == ("shapes(first 3)", "shapes(first 3)")
    assert whole_name(subset.name) == whole_name(whole.name) == "shapes"
    assert split.notes == ("split train: the first 3 of 20 images (dataset.subset)",)
    prints = [whole.split("train").fingerprint] + [first_images(whole, n).split("train").fingerprint for n in (3, 4)]
    assert len(set(prints)) == 3


def test_a_split_with_fewer_images_stays_whole(whole):
    assert first_images(whole, 10**6).split("val").image_ids == whole.split("val").image_ids


def test_features_are_cut_by_images_or_by_captions(tmp_path):
    images, texts = np.arange(40, dtype="f").reshape(20, 2), np.arange(120, dtype="f").reshape(60, 2)
    pairs = np.random.default_rng(0).permutation(np.repeat(np.arange(20), 3))
    for name, rows in (("images", images), ("texts", texts), ("pairs", pairs)):
        np.save(tmp_path / f"{name}.npy", rows)
    options = {"root": tmp_path, "caption_to_image": "pairs.npy", "queries": 8}
    options |= {"image_features": "images.npy", "text_features": "texts.npy"}
    every, subset = (fico.load_dataset("features", **options, **more) for more in ({}, {"subset": 5}))
    kept = np.flatnonzero(every.split("test").correspondence.caption_to_image < 5)
    assert len(kept) == 15
    assert (subset.features("test", "global") == every.features("test", "global")[:5]).all()
    assert (subset.features("test", "doc2vec") == every.features("test", "doc2vec")[kept]).all()
    assert subset.feature_origins == every.feature_origins


@pytest.mark.parametrize("images", [0, -1, 2.5, True, "all"])
def test_other_values_are_refused(whole, images):
    with pytest.raises(UsageError, match=r"dataset\.subset is"):
        first_images(whole, images)
