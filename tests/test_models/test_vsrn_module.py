"""VSRN's training step: the sum of its two terms, and where the captioner stops."""

import pytest
import torch

from fico.losses.captioning import CaptionLikelihood, caption_targets
from fico.losses.triplet import TripletHinge
from fico.networks.blocks.captioner import Captioner
from fico.networks.vsrn import VSRN
from fico.types import PairBatch
from models.vsrn import VSRNModule

pytestmark = pytest.mark.filterwarnings("ignore:You are trying to `self.log")


def _module(max_len=12):
    torch.manual_seed(0)
    return VSRNModule(
        network=VSRN(image_dim=9, vocab_size=30, embed_dim=8, word_dim=5),
        captioner=Captioner(vocab_size=30, region_dim=8, hidden_dim=6, word_dim=5, dropout=0.0),
        loss=TripletHinge(),
        optimizer=torch.optim.Adam,
        max_len=max_len,
    )


def _batch():
    generator = torch.Generator().manual_seed(0)
    texts = torch.tensor([[1, 4, 5, 6, 7, 2], [1, 9, 2, 0, 0, 0], [1, 8, 7, 2, 0, 0]])
    return PairBatch(
        images=torch.randn(3, 6, 9, generator=generator),
        image_ids=torch.arange(3),
        texts=texts,
        text_ids=torch.arange(3),
        lengths=torch.tensor([6, 3, 4]),
    )


@pytest.mark.parametrize("max_len", [4, 6, 7, 12])
def test_the_loss_is_retrieval_plus_all_steps_of_captioning(max_len):
    """The module stops decoding early; the original always runs ``max_len - 1`` steps."""
    batch, module = _batch(), _module(max_len)
    images, regions = module.network(batch.images)
    scores = images @ module.network.encode_texts(batch.texts, batch.lengths).T
    labels, mask = caption_targets(batch.texts, batch.lengths, max_len)
    said = module.captioner(regions, labels[:, : max_len - 1])
    caption = CaptionLikelihood()(said, labels[:, 1:max_len], mask[:, 1:max_len])
    torch.testing.assert_close(module.training_step(batch, 0), TripletHinge()(scores) + caption)


def test_decoding_stops_behind_the_longest_caption():
    steps = []
    module = _module(max_len=60)
    module.captioner.register_forward_hook(lambda _, given, __: steps.append(given[1].shape[1]))
    module.training_step(_batch(), 0)
    assert steps == [6]  # five words after the start marker and one pad symbol


def test_evaluation_leaves_the_captioner_alone():
    module = _module().eval()
    module.captioner = None
    assert module.test_step(_batch(), 0).images.shape == (3, 8)
