"""MITH's training: it finds items with a common label far above chance, in one process."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch

from fico.errors import UsageError
from fico.losses.hashing.multi_granularity import MultiGranularity
from fico.networks.mith import MITH
from fico.types import PairBatch
from models._optim import adamw
from models.mith import MITHModule

CLASSES, WORDS, REGIONS, PAIRS = 8, 5, 6, 64


def _module():
    torch.manual_seed(0)
    return MITHModule(
        network=MITH(12, 4 + CLASSES + 20, 16, embed_dim=16, word_dim=16, top_k=4, layers=1, heads=2),
        loss=MultiGranularity(PAIRS * 8, CLASSES, 16),
        optimizer=partial(adamw, lr=1e-2),
    )


def _batch(number):
    """Scenes of one or two classes: some regions show them, some words name them, the rest are noise."""
    generator = torch.Generator().manual_seed(number)
    prototypes = torch.randn(CLASSES, 12, generator=torch.Generator().manual_seed(99))
    shown = torch.randint(CLASSES, (PAIRS, 2), generator=generator)
    images = 0.5 * torch.randn(PAIRS, REGIONS, 12, generator=generator)
    images[:, :2] += prototypes[shown]
    texts = torch.randint(4 + CLASSES, 4 + CLASSES + 20, (PAIRS, WORDS), generator=generator)
    texts[:, 1:3] = 4 + shown
    labels = torch.zeros(PAIRS, CLASSES, dtype=torch.bool).scatter(1, shown, True)
    rows = torch.arange(PAIRS) + PAIRS * (number % 8)
    return PairBatch(images, rows, texts, rows, torch.full((PAIRS,), WORDS), labels)


def test_a_short_training_finds_items_with_a_common_label_far_above_chance():
    module = _module().train()
    module.log = module.log_dict = lambda *_, **__: None
    optimizer = module.configure_optimizers()
    for step in range(128):
        loss = module.training_step(_batch(step % 8), 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    batch = _batch(1000)
    encoded = module.eval().encode(batch)
    relevant = (batch.labels.float() @ batch.labels.float().T > 0) & ~torch.eye(PAIRS, dtype=torch.bool)
    scores = (encoded.images @ encoded.texts.T).masked_fill(torch.eye(PAIRS, dtype=torch.bool), -torch.inf)
    for way in (scores, scores.T):
        precision = relevant.gather(1, way.topk(5, dim=1).indices).float().mean()
        assert precision > 2 * relevant.float().mean()


def test_several_processes_are_refused():
    module = _module()
    module._trainer = SimpleNamespace(world_size=2)
    with pytest.raises(UsageError, match="MITH trains in one process, but there are 2; set trainer.devices=1"):
        module.on_fit_start()
