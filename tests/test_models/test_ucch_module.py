"""UCCH's training step: weights of the terms, warm-up, and when the bank moves."""

from types import SimpleNamespace

import pytest
import torch

from fico.losses.contrastive_hashing import ContrastiveHashing
from fico.losses.cross_modal_ranking import CrossModalRanking
from fico.networks.ucch import UCCH
from fico.types import PairBatch
from models.ucch import UCCHModule

pytestmark = pytest.mark.filterwarnings("ignore:You are trying to `self.log")


def _module(epoch=0, **how):
    torch.manual_seed(0)
    module = UCCHModule(
        network=UCCH(image_dim=12, text_dim=7, bits=8, hidden_dim=10),
        contrast=ContrastiveHashing(train_pairs=30, bits=8, negatives=9),
        ranking=CrossModalRanking(),
        optimizer=torch.optim.Adam,
        **how,
    )
    module.trainer = SimpleNamespace(current_epoch=epoch, barebones=True)
    module.log = module.log_dict = lambda *_, **__: None
    return module


def _batch():
    generator = torch.Generator().manual_seed(0)
    return PairBatch(
        images=torch.randn(6, 12, generator=generator),
        image_ids=torch.zeros(6, dtype=torch.int64),
        texts=torch.randn(6, 7, generator=generator),
        text_ids=torch.tensor([29, 3, 5, 0, 11, 2]),
    )


@pytest.mark.parametrize("alpha", [0.0, 0.7, 1.0])
def test_the_loss_weighs_contrast_with_alpha_and_ranking_with_the_rest(alpha):
    batch, module, parts = _batch(), _module(alpha=alpha), _module()
    images, texts = parts.network(batch.images, batch.texts)
    contrast = parts.contrast(images, texts, batch.text_ids, warmup=True)
    ranking = parts.ranking(images, texts)
    wanted = alpha * (contrast.image + contrast.text) + (1 - alpha) * (ranking.i2t + ranking.t2i)
    torch.testing.assert_close(module.training_step(batch, 0), wanted)


@pytest.mark.parametrize(("epoch", "is_warmup"), [(0, True), (1, True), (2, False)])
def test_the_first_epochs_take_their_keys_from_the_batch(epoch, is_warmup):
    batch, module = _batch(), _module(epoch=epoch, warmup_epochs=2)
    seen = []
    module.contrast.register_forward_hook(lambda _, __, terms: seen.append(terms.image_logits.shape[1]))
    module.training_step(batch, 0)
    assert seen == [6 if is_warmup else 10]


def test_a_step_moves_the_bank_once_in_the_captions_rows_and_before_the_optimiser():
    batch, module, twin = _batch(), _module(epoch=5), _module(epoch=5)
    module.training_step(batch, 0)
    images, texts = twin.network(batch.images, batch.texts)
    twin.contrast(images, texts, batch.text_ids)
    assert torch.equal(module.contrast.memory, twin.contrast.memory)
    assert int(module.contrast.steps) == 1


def test_the_optimiser_gets_both_networks_and_not_the_bank():
    module = _module()
    optimizer = module.configure_optimizers()
    held = sum(len(group["params"]) for group in optimizer.param_groups)
    assert held == len(list(module.network.parameters())) == 10
