"""From features to batches, and dealing batches to processes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from fico.datasets.base import RetrievalSplit
from fico.errors import DataError
from fico.features import SplitInputs
from fico.loading.batches import CaptionPairs, ImageGroups, collate
from fico.loading.sampler import ShardedBatchSampler
from fico.types import Correspondence

ROWS = [0, 2, 1, 2, 2, 0]  # captions of three images, not in the order of the images


def tiny_split():
    return RetrievalSplit(
        dataset="tiny",
        name="train",
        image_ids=("a", "b", "c"),
        image_paths=(Path("a"), Path("b"), Path("c")),
        caption_ids=tuple("012345"),
        captions=("x",) * 6,
        tokens=(("x",),) * 6,
        correspondence=Correspondence(ROWS),
        labels=None,
        classes=(),
        fingerprint="",
    )


def inputs(*, words=False, labels=False, images=3):
    vectors = np.arange(12, dtype=np.float32).reshape(6, 2)
    ids = tuple(np.arange(1, 3 + row) for row in range(6))
    return SplitInputs(
        images=10 * np.arange(images, dtype=np.float32)[:, None].repeat(4, axis=1),
        texts=ids if words else vectors,
        labels=np.eye(3, dtype=bool) if labels else None,
    )


def test_a_training_item_is_a_caption_with_its_image():
    batch = collate([CaptionPairs(tiny_split(), inputs(labels=True))[row] for row in (1, 2, 5)])
    assert batch.text_ids.tolist() == [1, 2, 5]
    assert batch.image_ids.tolist() == [2, 1, 0]
    assert batch.images[:, 0].tolist() == [20, 10, 0]
    assert batch.texts[:, 0].tolist() == [2, 4, 10]
    assert batch.labels.tolist() == np.eye(3, dtype=bool)[[2, 1, 0]].tolist()


def test_an_evaluation_item_is_an_image_with_all_its_captions():
    batch = collate(list(map(ImageGroups(tiny_split(), inputs()).__getitem__, range(3))))
    assert batch.image_ids.tolist() == [0, 1, 2]
    assert batch.text_ids.tolist() == [0, 5, 2, 1, 3, 4]
    assert batch.texts[:, 0].tolist() == [0, 10, 4, 2, 6, 8]
    assert batch.labels is None
    assert batch.lengths is None


def test_word_ids_are_padded_with_zero_behind_their_length():
    batch = collate([CaptionPairs(tiny_split(), inputs(words=True))[row] for row in (0, 3)])
    assert batch.texts.tolist() == [[1, 2, 0, 0, 0], [1, 2, 3, 4, 5]]
    assert batch.lengths.tolist() == [2, 5]
    assert (batch.texts.dtype, batch.image_ids.dtype, batch.text_ids.dtype) == (torch.int64,) * 3


def test_a_batch_owns_its_memory():
    source = inputs()
    batch = collate([CaptionPairs(tiny_split(), source)[1]])
    batch.images += 1
    batch.texts += 1
    assert source.images[2, 0] == 20
    assert source.texts[1, 0] == 2


def test_features_of_another_split_are_refused():
    for pairs in (CaptionPairs, ImageGroups):
        with pytest.raises(DataError, match="3 images and 6 captions, but the features have 4 and 6 rows"):
            pairs(tiny_split(), inputs(images=4))


@pytest.mark.parametrize("world", [1, 2, 3, 7])
@pytest.mark.parametrize("items", [0, 1, 13, 24])
def test_processes_share_the_batches_of_one_process(items, world):
    whole = list(ShardedBatchSampler(items, 4))
    shares = [list(ShardedBatchSampler(items, 4, rank, world)) for rank in range(world)]
    assert [row for batch in whole for row in batch] == list(range(items))
    assert sorted(batch for share in shares for batch in share) == whole
    assert [len(ShardedBatchSampler(items, 4, rank, world)) for rank in range(world)] == list(map(len, shares))


@pytest.mark.parametrize("wrong", [(5, 0), (5, 2, 1, 1), (5, 2, -1, 2), (5, 2, 0, 0)])
def test_senseless_shares_are_refused(wrong):
    with pytest.raises(ValueError, match="rank is below world_size"):
        ShardedBatchSampler(*wrong)


def test_the_loader_takes_a_share_as_its_batches():
    groups = ImageGroups(tiny_split(), inputs())
    loader = DataLoader(groups, batch_sampler=ShardedBatchSampler(3, 2), collate_fn=collate)
    assert [batch.image_ids.tolist() for batch in loader] == [[0, 1], [2]]
