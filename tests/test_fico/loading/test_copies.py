"""Copies of a split have ids of their own, read the same rows, and cost no second copy of the features."""

from itertools import islice

import numpy as np
import pytest

from fico.datasets.shapes.shapes import Shapes
from fico.errors import UsageError
from fico.features import model_inputs
from fico.loading.batches import ImageGroups, collate
from fico.loading.copies import CopiedRows, copied_inputs, copied_split


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return Shapes(40, root=tmp_path_factory.mktemp("scenes"), progress=False)


def test_each_copy_has_ids_and_captions_of_its_own(scenes):
    split = scenes.split("test")
    copies, images, captions = copied_split(split, 3), len(split.image_ids), len(split.captions)
    assert len(set(copies.image_ids)) == 3 * images
    assert len(set(copies.caption_ids)) == 3 * captions
    assert (copies.dataset, copies.image_ids[images]) == ("shapes(x3)", f"{split.image_ids[0]}~1")
    assert copies.fingerprint not in (split.fingerprint, copied_split(split, 2).fingerprint)
    assert "3 copies of" in copies.notes[-1]
    assert "ties with its copies" in copies.notes[-1]
    for copy in range(3):
        rows = slice(copy * captions, (copy + 1) * captions)
        assert copies.captions[rows] == split.captions
        owners = copies.correspondence.caption_to_image[rows] - copy * images
        assert (owners == split.correspondence.caption_to_image).all()
        assert (copies.labels[copy * images : (copy + 1) * images] == split.labels).all()


@pytest.mark.parametrize("text", ["words", "doc2vec"])
@pytest.mark.parametrize("image", ["regions", "global"])
def test_a_copy_is_loaded_as_the_original(scenes, image, text):
    inputs = model_inputs(scenes, ["test"], image=image, text=text, progress=False).splits["test"]
    split = scenes.split("test")
    once, twice = ImageGroups(split, inputs), ImageGroups(copied_split(split, 2), copied_inputs(inputs, 2))
    assert len(twice) == 2 * len(once)
    for first in islice(range(len(once)), 4):
        one, other = collate([once[first]]), collate([twice[first + len(once)]])
        assert (one.images == other.images).all()
        assert (one.texts == other.texts).all()
        assert (other.text_ids == one.text_ids + len(split.captions)).all()
        assert other.image_ids.tolist() == [first + len(once)]


def test_an_array_is_stored_once():
    rows = np.arange(6, dtype=np.float32).reshape(3, 2)
    copied = CopiedRows(rows, 1000)
    assert len(copied) == 3000
    assert copied.row_bytes == 8
    assert not copied.is_lazy
    assert np.shares_memory(copied[2999], rows)
    assert copied[2999].tolist() == [4, 5]
    with pytest.raises(IndexError):
        copied[3000]


@pytest.mark.parametrize("copies", [0, -1, 2.5, True, "all"])
def test_other_values_are_refused(scenes, copies):
    with pytest.raises(UsageError, match=r"dataset\.copies is"):
        copied_split(scenes.split("test"), copies)
