"""Every image and caption of a split exactly once, whatever the batches were."""

import pytest
import torch

from fico.encoding import encode, join
from fico.errors import FicoError
from fico.types import EncodedBatch, PairBatch


def encoded(image_ids, text_ids):
    def rows(ids):
        return torch.tensor(ids, dtype=torch.float32)[:, None]

    return EncodedBatch(rows(image_ids), torch.tensor(image_ids), rows(text_ids), torch.tensor(text_ids))


def test_rows_come_in_the_order_of_their_ids():
    joined = join([encoded([2, 0], [3, 1]), encoded([1], [0, 2])], images=3, texts=4)
    assert joined.images.flatten().tolist() == [0, 1, 2]
    assert joined.texts.flatten().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("batches", "told"),
    [
        ([encoded([0, 1, 1], [0])], r"images.*\(1, 2\)"),
        ([encoded([0, 2], [0])], r"images.*\(1, 0\)"),
        ([encoded([0, 1, 2, 3], [0])], "images"),
        ([encoded([0, 1, 2], [0, 0])], "texts"),
        ([], "no image was encoded"),
    ],
    ids=["repeated", "missing", "unknown", "repeated text", "nothing"],
)
def test_a_sampler_that_repeats_or_drops_is_found(batches, told):
    with pytest.raises(FicoError, match=told):
        join(batches, images=3, texts=1)


def test_encoding_without_a_trainer_gives_the_embeddings_of_every_batch():
    batches = [
        PairBatch(torch.full((1, 2), float(row)), torch.tensor([row]), torch.zeros(1, 2), torch.tensor([row]))
        for row in (1, 0)
    ]
    joined = encode(lambda b: EncodedBatch(2 * b.images, b.image_ids, b.texts, b.text_ids), batches, images=2, texts=2)
    assert joined.images.tolist() == [[0, 0], [2, 2]]
