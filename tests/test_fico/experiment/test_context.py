"""Callbacks of a run: ours take its context, a user's keep every argument of their own."""

import time

import pytest
import pytorch_lightning as L
import torch
from omegaconf import OmegaConf
from torch.utils.data import DataLoader, Dataset

from fico.errors import UsageError
from fico.experiment.build import build
from fico.experiment.config.checks import check_config
from fico.experiment.context import build_callbacks
from fico.run_context import EpochOutputs, RunContext
from fico.types import Correspondence, EncodedBatch, PairBatch
from tests.configs import composed


class Mine(L.Callback):
    """Arguments named like values of the run."""

    def __init__(self, monitor=None, model=None, metric="mine", folder="here", bits=3, encoded=None):
        self.values = (monitor, model, metric, folder, bits, encoded)


class Other:
    """Not a callback."""


@pytest.fixture
def context(tmp_path):
    return RunContext(
        folder=tmp_path,
        model={"similarity": "cosine", "module": {}},
        metric={"tasks": ("instance",), "bootstrap": 1},
        monitor="val/x",
        indexes={},
        origin={"model": "m"},
        fingerprint="f",
    )


def node(target, **arguments):
    return OmegaConf.create({"mine": {"_target_": target, **arguments}})


@pytest.mark.parametrize("partial", [{}, {"_partial_": True}])
def test_no_argument_of_a_users_callback_is_replaced(context, partial):
    (default,) = build_callbacks(node(f"{__name__}.Mine", **partial), context)
    assert default.values == (None, None, "mine", "here", 3, None)
    (mine,) = build_callbacks(node(f"{__name__}.Mine", monitor="train/loss", bits=7, **partial), context)
    assert mine.values == ("train/loss", None, "mine", "here", 7, None)


@pytest.mark.parametrize("partial", [{}, {"_partial_": True}])
def test_early_stopping_monitors_what_the_user_says(context, partial):
    target = "pytorch_lightning.callbacks.EarlyStopping"
    (stopping,) = build_callbacks(node(target, monitor="train/loss", **partial), context)
    assert stopping.monitor == "train/loss"


def test_any_callback_of_lightning_passes_the_check_and_a_null_one_is_left_out(context):
    config = composed(
        "model=ucch",
        "+callbacks.stop._target_=pytorch_lightning.callbacks.EarlyStopping", "+callbacks.stop.monitor=train/loss",
        "+callbacks.rate._target_=pytorch_lightning.callbacks.LearningRateMonitor", "callbacks.lines=null",
    )  # fmt: skip
    check_config(config)
    names = [type(callback).__name__ for callback in build_callbacks(config.callbacks, context)]
    assert names[-2:] == ["EarlyStopping", "LearningRateMonitor"]
    assert "EpochLines" not in names


@pytest.mark.parametrize(
    ("target", "arguments", "told"),
    [
        (f"{__name__}.Other", {}, r"callbacks\.mine is a Other, but must be a callback"),
        (f"{__name__}.Mine", {"unknown": 1}, "Mine cannot be built: .*unexpected keyword argument 'unknown'"),
    ],
)
def test_what_is_no_callback_is_refused_by_its_key(context, target, arguments, told):
    with pytest.raises(UsageError, match=told):
        build_callbacks(node(target, **arguments), context)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("+trainer.gradient_clip_val=1", "trainer.gradient_clip_val is set by the run; set model.gradient_clip"),
        ("+trainer.max_epochs=1", "set model.epochs"),
        ("+trainer.num_sanity_val_steps=2", "trainer.num_sanity_val_steps is set by the run"),
        ("~callbacks.retrieval", "callbacks.retrieval is missing"),
        ("~callbacks", "callbacks.retrieval is missing"),
        ("model.monitor=abc", "model.monitor is 'abc', but must be val/TASK/DIRECTION/METRIC"),
    ],
)
def test_what_the_run_sets_or_requires_itself_is_refused_with_the_key_that_does(override, told):
    with pytest.raises(UsageError, match=told):
        check_config(composed(override))


@pytest.mark.parametrize("override", ["trainer.log_every_n_steps=3", "+trainer.enable_progress_bar=false"])
def test_other_keys_of_the_trainer_are_the_users(override):
    check_config(composed(override))


@pytest.mark.parametrize(
    ("model", "overrides", "told"),
    [
        ("scan", ["model.precision=bf16", "trainer.precision=bf16-mixed"], "both set the test's precision"),
        ("scan", ["trainer.precision=bf16-true"], "use bf16-mixed"),
    ],
)
def test_two_precisions_for_one_test_are_refused(model, overrides, told):
    with pytest.raises(UsageError, match=told):
        check_config(composed(f"model={model}", *overrides))


def test_objects_reach_the_constructor_as_they_are():
    outputs = EpochOutputs()
    assert build({"_target_": f"{__name__}.Mine"}, encoded=outputs).values[-1] is outputs


class Pairs(Dataset):
    """Two batches of two images with a caption each."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        rows = torch.tensor([2 * index, 2 * index + 1])
        return PairBatch(torch.eye(4)[rows], rows, torch.eye(4)[rows], rows)


class Identity(L.LightningModule):
    def test_step(self, batch, batch_idx):
        return EncodedBatch(batch.images, batch.image_ids, batch.texts, batch.text_ids)


class Data(L.LightningDataModule):
    test_split = "test"

    def test_dataloader(self):
        return DataLoader(Pairs(), batch_size=None)

    def evaluated_split(self, trainer):
        return type(
            "Split", (), {
                "name": "test", "fingerprint": "f", "labels": None, "correspondence": Correspondence(range(4)),
                "image_ids": tuple("abcd"), "caption_ids": tuple("efgh"),
            },
        )  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*LeafSpec", "ignore:.*does not have many workers")
def test_encode_seconds_are_the_networks_alone(context, monkeypatch):
    from fico.embeddings.collect import Collector

    add = Collector.add
    monkeypatch.setattr(Collector, "add", lambda *arguments: (time.sleep(0.2), add(*arguments)))
    callbacks = build_callbacks(composed("model=ucch").callbacks, context)
    trainer = L.Trainer(
        accelerator="cpu", callbacks=callbacks, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.test(Identity(), datamodule=Data(), verbose=False)
    assert context.outputs.result.metrics["instance/i2t/R@1"] == 1
    assert context.outputs.encode_seconds < 0.2
    assert 0 < context.outputs.encode_cpu_seconds < 0.2
    assert context.outputs.encode_wall_seconds > 0.4
