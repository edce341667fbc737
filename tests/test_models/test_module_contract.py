"""What every model in conf/model must do. A new YAML is found by listing the folder."""

import copy
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

import pytest
import pytorch_lightning as L
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch.utils.data import DataLoader

from fico.experiment.checkpoints.module import fill_sizes
from fico.experiment.config.resolvers import register_resolvers
from fico.types import PairBatch

CONF = Path(__file__).parents[2] / "conf" / "model"
NAMES = sorted(path.stem for path in CONF.glob("*.yaml") if path.stem != "cascade")  # of two runs, no module
SIZES = {
    "image_dim": 24,
    "text_dim": 10,
    "vocab_size": 40,
    "train_pairs": 50,
    "train_images": 10,
    "classes": 4,
    "regions": 6,
}


@cache
def _config(name, size="tiny"):
    """The model's node, which the tests read alone."""
    register_resolvers()
    config = OmegaConf.create({"seed": 0, "dataset": {"model_size": size, "rerank_k": 32}, "model": _model_node(name)})
    config.model.module = fill_sizes(config.model.module, SIZES | _image_size(config.model.inputs))
    return config.model


def _model_node(name):
    """The YAML, over the one that it names in its defaults."""
    node = OmegaConf.load(CONF / f"{name}.yaml")
    bases = [base for base in node.pop("defaults", ()) if base != "_self_"]
    return OmegaConf.merge(*(_model_node(base) for base in bases), node)


def _image_size(inputs):
    return {"image_size": inputs.image["size"]} if isinstance(inputs.image, DictConfig) else {}


def _module(name, seed=0):
    torch.manual_seed(seed)
    return instantiate(_config(name).module)


@cache
def _evaluated(name):
    """An untrained module that the tests only evaluate, shared by them."""
    return _module(name).eval()


@cache
def _trained(name):
    """A module after six steps on one batch, and their losses."""
    module = _module(name)
    return module, _train(module, _batch(name), steps=6)


def _batch(name, pairs=8, seed=0, captions_per_image=1):
    """A training batch; with more captions per image an evaluation batch."""
    inputs, generator = _config(name).inputs, torch.Generator().manual_seed(seed)
    size = _image_size(inputs).get("image_size")
    shape = (3, size, size) if size else {"global": (24,), "regions": (6, 24)}[inputs.image]
    texts, lengths = torch.randn(pairs * captions_per_image, 10, generator=generator), None
    if inputs.text == "words" or isinstance(inputs.text, DictConfig):
        lengths = torch.randint(3, 9, (len(texts),), generator=generator)
        words = torch.randint(4, 40, (len(texts), 8), generator=generator)
        place = torch.arange(8)
        texts = words.masked_fill(place >= lengths[:, None], 0).masked_fill(place == lengths[:, None] - 1, 2)
        texts[:, 0] = 1
    return PairBatch(
        images=torch.randn(pairs, *shape, generator=generator),
        image_ids=torch.arange(pairs) + 100,
        texts=texts,
        text_ids=torch.arange(len(texts)),
        lengths=lengths,
        labels=torch.rand(pairs, 4, generator=generator) > 0.5,
    )


def _train(module, batch, steps):
    """Losses of steps on one batch; a module with several optimisers steps them itself, which needs a trainer."""
    losses, step = [], module.training_step
    module.train()
    if not module.automatic_optimization:
        module.training_step = lambda *given: losses.append(step(*given))
        _trainer(max_epochs=1, limit_val_batches=0).fit(module, DataLoader([batch] * steps, batch_size=None))
        return losses
    made = module.configure_optimizers()
    optimizer = made["optimizer"] if isinstance(made, dict) else made
    for _ in range(steps):
        loss = step(batch, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def _trainer(**how):
    return L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **how,
    )


def test_there_are_models():
    assert NAMES


@pytest.mark.parametrize("name", NAMES)
def test_encodings_have_one_row_for_each_id_and_the_promised_scale(name):
    config, module, batch = _config(name), _evaluated(name), _batch(name, captions_per_image=3)
    encoded = module.test_step(batch, 0)
    assert torch.equal(encoded.image_ids, batch.image_ids)
    assert torch.equal(encoded.text_ids, batch.text_ids)
    assert len(encoded.images) == 8
    assert len(encoded.texts) == 24
    assert encoded.images.shape[-1] == encoded.texts.shape[-1]
    for vectors in (encoded.images, encoded.texts):
        if "bits" in config:
            assert vectors.shape[1] == config.bits == module.network.bits
            assert vectors.abs().eq(1).all()
        else:
            norms = vectors.norm(dim=-1)  # one vector an item, or one for each region and real word
            real = norms > 0 if vectors.ndim == 3 else torch.ones(len(vectors), dtype=torch.bool)
            torch.testing.assert_close(norms[real], torch.ones(int(real.sum())))


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_repeats_itself_and_leaves_the_module_as_it_was(name):
    module, batch = _evaluated(name), _batch(name)
    before = copy.deepcopy(module.state_dict())
    first, second = module.validation_step(batch, 0), module.predict_step(batch, 0)
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.texts, second.texts)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_an_item_is_encoded_the_same_in_any_batch(name):
    module, batch = _evaluated(name), _batch(name)
    whole = module.encode(batch)
    part = torch.tensor([5, 2])
    alone = module.encode(
        PairBatch(
            images=batch.images[part],
            image_ids=batch.image_ids[part],
            texts=batch.texts[part],
            text_ids=batch.text_ids[part],
            lengths=None if batch.lengths is None else batch.lengths[part],
        )
    )
    torch.testing.assert_close(alone.images, whole.images[part])
    torch.testing.assert_close(alone.texts, whole.texts[part])


@pytest.mark.parametrize("name", NAMES)
def test_no_encoding_depends_on_the_other_side(name):
    """A query that has seen its matching pair is no retrieval: published codes were, fused from both sides."""
    module, batch = _evaluated(name), _batch(name)
    order = torch.arange(len(batch.images)).roll(1)
    lengths = None if batch.lengths is None else batch.lengths[order]
    other_texts = replace(batch, texts=batch.texts[order], lengths=lengths)
    other_images = replace(batch, images=batch.images[order], labels=None)
    whole, images, texts = (module.encode(part) for part in (batch, other_texts, other_images))
    for side, found in (("image", images), ("text", texts)):
        for field in (field.name for field in fields(found) if field.name.startswith(side)):
            value, expected = getattr(found, field), getattr(whole, field)
            assert value is expected or torch.equal(value, expected), f"{field} depends on the other side"


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
@pytest.mark.parametrize("name", NAMES)
def test_steps_on_one_batch_lower_the_loss(name):
    _, losses = _trained(name)
    assert losses[-1] < losses[0]


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_is_trained(name):
    """Otherwise several processes would wait for a gradient that never comes."""
    module, _ = _trained(name)
    assert [key for key, parameter in module.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_state_dict_makes_another_module_the_same(name):
    batch, first, second = _batch(name), _evaluated(name), _module(name, seed=1).eval()
    assert not torch.equal(first.encode(batch).images, second.encode(batch).images)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.encode(batch).images, second.encode(batch).images)
    assert torch.equal(first.encode(batch).texts, second.encode(batch).texts)


@pytest.mark.filterwarnings("ignore:You defined a `validation_step`", "ignore:.*LeafSpec")
@pytest.mark.parametrize("name", NAMES)
def test_a_trainer_logs_loss_and_terms_and_two_runs_are_the_same(name):
    runs = []
    for _ in range(2):
        L.seed_everything(0, verbose=False)
        module = _module(name)
        trainer = _trainer(max_epochs=2, gradient_clip_val=_config(name).gradient_clip)
        trainer.fit(module, DataLoader([_batch(name, pairs=4, seed=1)], batch_size=None))
        runs.append(trainer.callback_metrics)
    assert "train/loss" in runs[0]
    assert len(runs[0]) >= 3
    assert all(torch.equal(value, runs[1][key]) for key, value in runs[0].items())


@pytest.mark.parametrize("name", NAMES)
def test_the_config_names_what_the_runner_needs(name):
    tiny, paper = _config(name), _config(name, "paper")
    assert tiny.name == name
    assert tiny.family in ("vlp", "fine", "coarse")
    assert paper.epochs >= 1
    assert paper.batch_size >= tiny.batch_size or paper.family == "vlp"  # theirs is the share of one of many GPUs
    header = (CONF / f"{name}.yaml").read_text().split("name:")[0].split("defaults:")[0]
    assert all(line.startswith("#") for line in header.splitlines())
    for word in ("Source", "Expected", "Cost"):
        assert word in header
