"""ADV's training step: weights of the terms by epoch, where variants come from, and what is trained."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from fico.losses.angular import Angular
from fico.losses.caption_variants import Adversary, Rephrase
from fico.losses.triplet import TripletHinge
from fico.losses.weight_norms import weight_norms
from fico.losses.word_exchange import WordExchange
from fico.networks.adv import ADV
from fico.networks.blocks.balanced import ConceptHead
from fico.networks.blocks.bert import Bert
from models.adv import ADVModule, VariantBatch

SIZES = {"region_dim": 16, "region_heads": 4, "region_inner_dim": 24, "word_dim": 8, "max_words": 9, "channels": 6}


def _module(epoch=0, classes=3, exchange=None, bert=None, **how):
    torch.manual_seed(0)
    module = ADVModule(
        ADV(image_dim=12, bits=16, vocab_size=None if bert else 40, bert=bert, dropout=0.0, **SIZES),
        TripletHinge(),
        optimizer=torch.optim.Adam,
        adversary=Adversary(),
        concept=ConceptHead(16, classes),
        exchange=exchange,
        **how,
    )
    module.trainer = SimpleNamespace(current_epoch=epoch, barebones=True)
    module.logged = {}
    module.log_dict = lambda values, **_: module.logged.update(values)
    module.log = lambda *_, **__: None
    return module


def _batch(rephrased=None, falsified=None, labels=True):
    generator = torch.Generator().manual_seed(0)
    return VariantBatch(
        images=torch.randn(6, 5, 12, generator=generator),
        image_ids=torch.arange(6),
        texts=torch.randint(4, 40, (6, 9), generator=generator),
        text_ids=torch.arange(6),
        labels=torch.rand(6, 3, generator=generator) > 0.5 if labels else None,
        rephrased=rephrased,
        falsified=falsified,
    )


def _variants(seed):
    return torch.randint(4, 40, (6, 2, 9), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("epoch", "weight"), [(0, 0.5), (4, 0.5), (5, 0.05), (10, 0.005), (20, 0.5e-4), (21, 0.0), (99, 0.0)]
)
def test_the_angular_weight_falls_to_a_tenth_every_five_epochs_and_ends(epoch, weight):
    batch, module = _batch(labels=False), _module(epoch=epoch)
    images, texts = module.network(batch.images, batch.texts)
    angular = Angular()(images, texts)
    wanted = TripletHinge()(F.normalize(images) @ F.normalize(texts).T) + weight * (angular.i2t + angular.t2i)
    wanted = wanted + 0.01 * weight_norms(module.network.img_enc)
    torch.testing.assert_close(module.training_step(batch, 0), wanted)


def test_variants_and_concepts_each_count_half():
    rephrased, falsified = _variants(1), _variants(2)
    plain, module = _module(), _module()
    loss = module.training_step(_batch(rephrased, falsified), 0)
    batch = _batch()
    images, texts = module.network(batch.images, batch.texts)
    codes = [torch.stack([module.network.txt_enc(row) for row in ids]) for ids in (rephrased, falsified)]
    wanted = Rephrase()(images, codes[0]) + Adversary()(images, texts, codes[1])
    wanted = wanted + F.binary_cross_entropy(module.concept(texts), batch.labels.float())
    torch.testing.assert_close(loss, plain.training_step(_batch(labels=False), 0) + 0.5 * wanted)


def test_the_exchange_falsifies_only_where_the_batch_brings_nothing():
    calls = []
    exchange = WordExchange(variants=3)
    exchange.register_forward_hook(lambda *_: calls.append(1))
    module = _module(exchange=exchange)
    module.training_step(_batch(falsified=_variants(2)), 0)
    assert not calls
    module.training_step(_batch(), 0)
    assert calls == [1]
    assert module.logged["train/adversary"] > 0


def test_an_exchange_of_no_variants_is_none():
    module = _module(exchange=WordExchange(variants=0))
    module.training_step(_batch(), 0)
    assert "train/adversary" not in module.logged


def test_variants_wait_for_their_first_epoch():
    for epoch, names in ((1, set()), (2, {"train/rephrase", "train/concept"})):
        module = _module(epoch=epoch, first_variant_epoch=2)
        module.training_step(_batch(rephrased=_variants(1)), 0)
        assert set(module.logged) - {"train/triplet", "train/angular", "train/norms"} == names


@pytest.mark.filterwarnings("ignore:Initializing zero-element")
def test_data_without_labels_train_no_concept_head():
    module = _module(classes=0)
    assert module.concept is None
    assert module.training_step(_batch(labels=False), 0).isfinite()


def test_the_frozen_text_model_is_not_in_the_optimiser():
    module = _module(bert=Bert(40, 8, 1, 2, 16, 12))
    held = {id(p) for group in module.configure_optimizers().param_groups for p in group["params"]}
    assert not held & {id(p) for p in module.network.txt_enc.bert.parameters()}
    assert held >= {id(p) for p in module.network.img_enc.parameters()}
    assert held >= {id(p) for p in module.concept.parameters()}
