"""Test sets repeated to any size: a view that copies nothing, with the recall that repeating must give."""

import numpy as np
import pytest

import fico
from fico.datasets.repeated import PAPER_IMAGES, RepeatedIds, ScaledSet
from fico.errors import UsageError
from fico.search.exact import ExactSearch

IMAGES = 6
OWNERS = fico.Correspondence([3, 0, 0, 5, 1, 2, 2, 2, 4, 5, 1, 3, 0])  # uneven, in no order


def embeddings(seed=0, noise=0.8):
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(IMAGES, 8)).astype(np.float32)
    texts = images[OWNERS.caption_to_image] + noise * rng.normal(size=(13, 8)).astype(np.float32)
    return images, texts.astype(np.float32)


@pytest.mark.parametrize("size", [1, 4, 6, 7, 12, 17, 30])
def test_captions_stand_with_their_own_copy_of_the_image(size):
    images, texts = embeddings()
    scaled = ScaledSet(images, texts, OWNERS, size)
    assert len(scaled.images) == size
    owners = scaled.correspondence.caption_to_image
    assert owners.max() < size
    for caption, image in enumerate(owners):
        row = int(scaled.texts.sources(np.array([caption]))[0])
        assert OWNERS.caption_to_image[row] == image % IMAGES
        np.testing.assert_array_equal(scaled.images[int(image)], images[OWNERS.caption_to_image[row]])
    per_image = np.bincount(owners, minlength=size)
    np.testing.assert_array_equal(per_image, np.bincount(OWNERS.caption_to_image)[np.arange(size) % IMAGES])


def test_every_way_of_asking_gives_the_same_rows():
    images, texts = embeddings()
    scaled = ScaledSet(images, texts, OWNERS, 20)
    whole = scaled.texts[:]
    assert whole.shape == scaled.texts.shape
    np.testing.assert_array_equal(np.concatenate(list(scaled.texts.blocks(7))), whole)
    np.testing.assert_array_equal(scaled.texts[np.array([5, 40, 2])], whole[[5, 40, 2]])
    np.testing.assert_array_equal(scaled.texts[-1], whole[-1])
    for place in (len(whole), -len(whole) - 1):
        with pytest.raises(IndexError):
            scaled.texts[place]


def test_nothing_is_copied_at_the_papers_largest_size():
    images, texts = np.zeros((5, 3), np.float32), np.arange(75, dtype=np.float32).reshape(25, 3)
    scaled = ScaledSet(images, texts, fico.Correspondence(np.repeat(np.arange(5), 5)), PAPER_IMAGES[-1])
    assert scaled.images.shape == (1_000_000, 3)
    assert scaled.texts.shape == (5_000_000, 3)
    assert scaled.images.rows is images
    assert scaled.texts.rows is texts
    np.testing.assert_array_equal(scaled.texts[4_999_999], texts[24])
    assert scaled.image_of(np.array([4_999_999])).tolist() == [999_999]


def test_ids_are_unique_and_tell_the_copy():
    images, texts = embeddings()
    scaled = ScaledSet(images, texts, OWNERS, 15)
    ids = RepeatedIds([f"i{row}" for row in range(IMAGES)], scaled.images)
    assert len(set(ids)) == 15
    assert (ids[0], ids[6], ids[14], ids[-1]) == ("i0", "i0#1", "i2#2", "i2#2")
    assert list(ids[5:8]) == ["i5", "i0#1", "i1#1"]


@pytest.mark.parametrize("copies", [2, 5])
@pytest.mark.parametrize("k", [1, 3, 5, 10])
def test_where_any_copy_counts_recall_is_that_of_the_original_at_a_smaller_cut(copies, k):
    """Every item stands c times: c (r - 1) stand above a right one at rank r, so K finds it if r <= 1 + (K - 1) / c."""
    images, texts = embeddings()
    scaled = ScaledSet(images, texts, OWNERS, copies * IMAGES)
    search = ExactSearch("cosine")
    for block in scaled.images.blocks(4):
        search.add(block)
    found = scaled.images.sources(search.search(texts, k).indices.ravel()).reshape(len(texts), -1)
    recall = (found == OWNERS.caption_to_image[:, None]).any(axis=1).mean()
    original = fico.evaluate(images, texts, OWNERS, recall_at=[1 + (k - 1) // copies], bootstrap=1)
    assert recall == pytest.approx(original.metrics[f"instance/t2i/R@{1 + (k - 1) // copies}"])


def test_where_its_own_copy_must_be_found_ties_share_the_places():
    """Codes tie exactly: with c copies the first place is the own image's with chance 1/c where it was found before."""
    images = np.eye(IMAGES, 8, dtype=np.float32) * 2 - 1
    texts = images[OWNERS.caption_to_image]
    scaled = ScaledSet(images, texts, OWNERS, 4 * IMAGES)
    result = fico.evaluate(scaled.images[:], scaled.texts[:], scaled.correspondence, similarity="hamming", bootstrap=1)
    assert result.metrics["instance/t2i/R@1"] == pytest.approx(1 / 4)


def test_an_empty_set_is_refused():
    with pytest.raises(UsageError, match="a set of 0 images"):
        ScaledSet(*embeddings(), OWNERS, 0)
