"""DADH's training: three optimisers in turn, the code update of each epoch, and the labels it needs."""

from functools import partial

import pytest
import pytorch_lightning as L
import torch
from torch.optim import Adam
from torch.optim.lr_scheduler import MultiStepLR
from torch.utils.data import DataLoader

from fico.errors import DataError, UsageError
from fico.losses.discrete_codes import DiscreteCodes
from fico.losses.label_triplet import LabelTriplet
from fico.networks.dadh import DADH, DADHDiscriminators
from fico.types import PairBatch
from models.dadh import DADHModule

pytestmark = pytest.mark.filterwarnings("ignore:.*(does not have many workers|no `val_dataloader`|isinstance.treespec)")


def _module(**how):
    torch.manual_seed(0)
    return DADHModule(
        network=DADH(image_dim=12, text_dim=7, bits=8, hidden_dim=32),
        discriminators=DADHDiscriminators(bits=8, hidden_dim=32),
        triplet=LabelTriplet(),
        codes=DiscreteCodes(train_pairs=12, classes=3, bits=8),
        optimizer=partial(Adam, lr=1e-3),
        discriminator_optimizer=partial(Adam, lr=1e-3),
        scheduler=partial(MultiStepLR, milestones=[1], gamma=0.5),
        **how,
    )


def _batch(rows=range(6), labels=True):
    generator = torch.Generator().manual_seed(0)
    return PairBatch(
        images=torch.randn(6, 12, generator=generator),
        image_ids=torch.zeros(6, dtype=torch.int64),
        texts=torch.randn(6, 7, generator=generator),
        text_ids=torch.tensor(list(rows)),
        labels=(torch.rand(6, 3, generator=generator) > 0.4) if labels else None,
    )


def _fit(module, batches, epochs=1):
    trainer = L.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )
    trainer.fit(module, DataLoader(batches, batch_size=None))
    return trainer


def _states(module):
    parts = {
        "network": module.network,
        "feature": module.discriminators.feature_dis,
        "hash": module.discriminators.hash_dis,
    }
    return {name: torch.cat([p.detach().flatten() for p in part.parameters()]) for name, part in parts.items()}


def test_without_labels_one_sentence_says_why():
    with pytest.raises(DataError, match="made from the labels of the training images.*model=ucch") as caught:
        _module().training_step(_batch(labels=False), 0)
    assert "\n" not in str(caught.value)


def test_each_part_has_its_own_optimiser_and_a_step_moves_them_in_order():
    module, moved = _module(), []
    before = _states(module)

    def note(optimizer):
        now = _states(module)
        moved.append({name for name, state in now.items() if not torch.equal(state, before[name])})

    module.on_before_optimizer_step = note
    _fit(module, [_batch()])
    assert moved == [set(), {"feature"}, {"feature", "hash"}]
    after = _states(module)
    assert all(not torch.equal(after[name], before[name]) for name in after)


def test_a_step_passes_texts_twice_and_images_once():
    module = _module()
    _fit(module, [_batch(), _batch(range(6, 12))])
    assert int(module.network.text_module[1].num_batches_tracked) == 4
    assert int(module.network.image_module[1].num_batches_tracked) == 2


def test_the_codes_change_once_an_epoch_and_not_in_between():
    module, seen = _module(), []
    module.codes.register_forward_hook(lambda codes, _, __: seen.append(codes.codes.clone()))
    _fit(module, [_batch(), _batch(range(6, 12))], epochs=2)
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[2], seen[3])
    assert not torch.equal(seen[1], seen[2])


def test_the_codes_are_solved_from_all_pairs_of_the_epoch():
    module = _module()
    _fit(module, [_batch(), _batch(range(6, 12))])
    assert (module.codes.image_codes != 0).all()
    assert torch.equal(module.codes.labels[:6], module.codes.labels[6:])


def test_the_generators_rate_falls_after_the_first_epoch_and_the_others_stay():
    module = _module()
    trainer = _fit(module, [_batch()])
    assert [optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers] == [5e-4, 1e-3, 1e-3]


@pytest.mark.parametrize("weights", [(0.0, 0.0, 0.0), (1.0, 2.0, 3.0)])
def test_the_loss_is_the_weighted_sum_of_the_generators_terms(weights):
    alpha, beta, gamma = weights
    metrics = _fit(_module(alpha=alpha, beta=beta, gamma=gamma), [_batch()]).callback_metrics
    sums = [
        sum(value for name, value in metrics.items() if name.startswith(f"train/{kind}_"))
        for kind in ("triplet", "quantisation", "misleading")
    ]
    torch.testing.assert_close(metrics["train/loss"], alpha * sums[0] + beta * sums[1] + gamma * sums[2])


def test_several_processes_are_refused():
    module = _module()
    module.trainer = type("Trainer", (), {"world_size": 2})()
    with pytest.raises(UsageError, match=r"one process, but there are 2.*trainer\.devices=1"):
        module.on_fit_start()
