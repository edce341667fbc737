"""Sets that hold a split several times over: the same pairs as of a set with copied rows, and nothing copied."""

from collections import Counter

import numpy as np
import pytest
import torch

from fico.scoring.candidates import candidates
from fico.scoring.copies import Copies
from fico.types import EncodedBatch

IMAGES, PER_IMAGE, DIM = 6, 2, 4
OWNERS = np.tile(np.arange(IMAGES), PER_IMAGE)  # the captions of an image are not neighbours


@pytest.fixture
def encoded():
    generator = torch.Generator().manual_seed(0)
    images, texts = (torch.randn(rows, DIM, generator=generator) for rows in (IMAGES, IMAGES * PER_IMAGE))
    ids = torch.arange(IMAGES), torch.arange(IMAGES * PER_IMAGE)
    return EncodedBatch(images, ids[0], texts, ids[1], torch.ones_like(ids[1]), images.clone(), texts[:, None].clone())


def rows_of(images):
    """Rows of the split in a set with copied rows: of its images, and of its captions."""
    whole, rest = divmod(images, IMAGES)
    last = np.flatnonzero(rest > OWNERS)
    return np.arange(images) % IMAGES, np.concatenate([*[np.arange(len(OWNERS))] * whole, last])


class Seen:
    """A pair scorer that counts the pairs of rows that it scores."""

    def __init__(self, encoded):
        self.images, self.texts = (
            {tuple(row): n for n, row in enumerate(rows.tolist())} for rows in (encoded.images, encoded.texts)
        )
        self.pairs = Counter()

    def score(self, images, texts, lengths=None):
        for image in images.tolist():
            self.pairs.update((self.images[tuple(image)], self.texts[tuple(text)]) for text in texts.tolist())
        return images @ texts.T


@pytest.mark.parametrize("images", [1, 4, 6, 12, 16])
def test_all_pairs_are_scored_as_often_as_a_set_of_copies_has_them(encoded, images):
    copies, seen = Copies(encoded, OWNERS, images), Seen(encoded)
    copies.score_all(seen)
    image_rows, text_rows = rows_of(images)
    assert (copies.images, copies.captions) == (len(image_rows), len(text_rows))
    assert seen.pairs == Counter((i, t) for i in image_rows.tolist() for t in text_rows.tolist())


@pytest.mark.parametrize("k", [1, 3, 7, 100])
@pytest.mark.parametrize("images", [1, 4, 6, 12, 16])
def test_candidates_are_those_of_a_set_of_copies(encoded, images, k):
    image_rows, text_rows = rows_of(images)
    wanted = candidates(encoded.images[image_rows], encoded.texts[text_rows], k).pairs
    image, text = np.divmod(wanted, len(text_rows))
    copies = Copies(encoded, OWNERS, images)
    found = copies.candidate_pairs(candidates(copies.rows.images, copies.rows.texts, k), k)
    assert len(found) == len(wanted)
    texts = np.unique(text_rows)  # of the rows, where the split is not whole
    for copy, pairs in enumerate(found.by_copy()):
        assert np.array_equal(pairs, np.sort(pairs))
        of_copy = image // IMAGES == copy
        expected = Counter(zip((image[of_copy] % IMAGES).tolist(), text_rows[text[of_copy]].tolist(), strict=True))
        rows, columns = np.divmod(pairs, len(texts))
        assert Counter(zip(rows.tolist(), texts[columns].tolist(), strict=True)) == expected
    assert copy == (images - 1) // IMAGES


def test_a_whole_split_is_not_copied_and_a_part_has_the_captions_of_its_images(encoded):
    twice, two = (Copies(encoded, OWNERS, images).rows for images in (2 * IMAGES, 2))
    for name in ("images", "texts", "text_lengths", "image_states", "text_states"):
        assert getattr(twice, name).data_ptr() == getattr(encoded, name).data_ptr()
    assert torch.equal(two.texts, encoded.texts[torch.tensor([0, 1, 6, 7])])
    assert torch.equal(two.text_states[:, 0], two.texts)
    assert torch.equal(two.image_states, encoded.images[:2])
    assert two.image_states.data_ptr() == encoded.image_states.data_ptr()
    assert two.text_ids.tolist() == list(range(4))
