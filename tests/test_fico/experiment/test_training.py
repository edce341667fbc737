"""A whole training: one best epoch per run, one result per checkpoint, and notes on how it ended."""

from pathlib import Path

import pytest
import pytorch_lightning as L
import torch
from omegaconf import OmegaConf
from pytorch_lightning.callbacks import ModelCheckpoint

from fico.errors import UsageError
from fico.experiment.checkpoints.best_and_last import BestCheckpoint
from fico.experiment.checkpoints.module import fill_sizes, load_checkpoint
from fico.experiment.config.checks import check_config
from fico.experiment.context import run_context
from fico.experiment.data import build_data
from fico.experiment.quiet import quiet
from fico.experiment.training import train_and_test
from tests.configs import composed

SMALL = (
    "model=ucch", "dataset.images=30", "model.batch_size=75", "model.epochs=3", "metric=instance",
    "metric.bootstrap=0", "index=[]", "logger=none", "trainer=cpu", "+trainer.enable_progress_bar=false",
)  # fmt: skip
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return {}


@pytest.fixture(scope="module")
def train(cache):
    """Trains and tests a tiny model in a folder; data are read once."""
    quiet()

    def run(folder, *overrides):
        config = composed(*SMALL, *overrides)
        check_config(config)
        L.seed_everything(config.seed, verbose=False)
        key = OmegaConf.to_yaml(config.stage) + OmegaConf.to_yaml(config.model.inputs)
        data = cache[key] if key in cache else cache.setdefault(key, build_data(config))
        config.model.module = fill_sizes(config.model.module, data.inputs.sizes)
        context = run_context(folder, config, data)
        return context, train_and_test(config, data, context, [])

    return run


class Scripted(L.Callback):
    """Logs the value by which the best epoch is chosen."""

    def __init__(self, values):
        self.values = list(values)

    def on_validation_epoch_end(self, trainer, module):
        module.log("val/instance/mean/mine", self.values[trainer.current_epoch])


def scripted(*values):
    """Epochs of these values."""
    return (
        f"+callbacks.scripted={{_target_: {__name__}.Scripted, values: {list(values)}}}",
        "model.monitor=val/instance/mean/mine",
        f"model.epochs={len(values)}",
    )


@pytest.fixture(scope="module")
def falling(train, tmp_path_factory):
    """Checkpoints of a training whose first of two epochs was the better one; no test changes them."""
    folder = tmp_path_factory.mktemp("falling")
    train(folder, *scripted(0.5, 0.1))
    return folder / "checkpoints"


def epoch_of(path):
    return load_checkpoint(path)["epoch"] + 1


def test_best_is_the_best_epoch_and_last_the_last(train, tmp_path):
    _, tested = train(tmp_path, *scripted(0.5, 0.9, 0.2))
    folder = tmp_path / "checkpoints"
    assert sorted(path.name for path in folder.iterdir()) == ["best.ckpt", "last.ckpt"]
    assert (epoch_of(folder / "best.ckpt"), epoch_of(folder / "last.ckpt")) == (2, 3)
    assert tested.notes == ("weights tested: best.ckpt of epoch 2",)


def test_a_second_run_in_a_folder_leaves_its_own_best_alone(train, tmp_path):
    folder = tmp_path / "checkpoints"
    train(tmp_path, *scripted(0.9, 0.1))
    (folder / "best-v1.ckpt").write_bytes(b"of an older version")
    train(tmp_path, *scripted(0.1, 0.2), "seed=1")
    assert sorted(path.name for path in folder.iterdir()) == ["best.ckpt", "last.ckpt"]
    assert epoch_of(folder / "best.ckpt") == 2


@pytest.mark.parametrize("resumed", ["last.ckpt", "best.ckpt"])
@pytest.mark.parametrize("is_new", [True, False])
def test_resuming_keeps_the_best_epoch(train, falling, tmp_path, resumed, is_new):
    folder, first = tmp_path, falling
    if not is_new:
        train(folder, *scripted(0.5, 0.1))
        first = folder / "checkpoints"
    before = load_checkpoint(first / "best.ckpt")["state_dict"]
    context, tested = train(folder, *scripted(0.5, 0.1, 0.2), f"model.checkpoint={first / resumed}")
    after = load_checkpoint(folder / "checkpoints" / "best.ckpt")
    assert after["epoch"] == 0
    assert all(torch.equal(before[name], value) for name, value in after["state_dict"].items())
    assert epoch_of(folder / "checkpoints" / "last.ckpt") == 3
    assert tested.notes == ("weights tested: best.ckpt of epoch 1",)
    assert context.outputs.result is not None


def test_a_better_epoch_after_resuming_is_the_best(train, falling, tmp_path):
    train(tmp_path, *scripted(0.5, 0.1, 0.8), f"model.checkpoint={falling / 'last.ckpt'}")
    assert epoch_of(tmp_path / "checkpoints/best.ckpt") == 3
    assert epoch_of(falling / "best.ckpt") == 1


def test_resuming_without_the_best_epoch_is_refused(train, tmp_path):
    train(tmp_path / "a", *scripted(0.5, 0.1))
    (tmp_path / "a/checkpoints/best.ckpt").rename(tmp_path / "moved.ckpt")
    again = scripted(0.5, 0.1, 0.8)
    with pytest.raises(UsageError, match=r"whose best epoch reached 0\.5000, but .*best\.ckpt does not hold"):
        train(tmp_path / "b", *again, f"model.checkpoint={tmp_path}/a/checkpoints/last.ckpt")
    _, tested = train(tmp_path / "b", *again, f"model.checkpoint={tmp_path}/moved.ckpt")
    assert tested.notes == ("weights tested: best.ckpt of epoch 3",)


def test_checkpoints_of_lightnings_own_callback_know_their_best_epoch():
    options = {"monitor": "val/x", "mode": "max"}
    assert BestCheckpoint(Path("x"), "val/x").state_key == ModelCheckpoint("x", "best", **options).state_key


def test_resuming_by_another_monitor_chooses_anew(train, falling, tmp_path):
    train(tmp_path, "model.epochs=3", f"model.checkpoint={falling}/last.ckpt", "model.monitor=val/instance/mean/R@10")
    assert epoch_of(tmp_path / "checkpoints/best.ckpt") == 3


@pytest.mark.parametrize(
    "extra", ["+trainer.max_steps=1", "+trainer.check_val_every_n_epoch=4", "+trainer.limit_val_batches=0"]
)
def test_without_a_validation_the_last_weights_are_tested_and_it_is_told(train, tmp_path, extra):
    context, tested = train(tmp_path, extra)
    assert context.outputs.result is not None
    assert "no epoch was validated by val/instance/mean/R@10, so the last weights are the run's" in tested.notes
    assert tested.notes[-1].startswith("weights tested: last.ckpt of epoch")
    assert not (tmp_path / "checkpoints" / "best.ckpt").exists()


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        (("+trainer.max_time={milliseconds: 1}",), "stopped after epoch 1 of 3, within it, by trainer.max_time"),
        (("+trainer.max_steps=1",), "stopped after epoch 1 of 3, within it, by trainer.max_steps=1"),
        (
            (
                *scripted(0.5, 0.4, 0.3, 0.2), "+callbacks.stop._target_=pytorch_lightning.callbacks.EarlyStopping",
                "+callbacks.stop.monitor=val/instance/mean/mine", "+callbacks.stop.mode=max",
                "+callbacks.stop.patience=1",
            ),
            "stopped after epoch 2 of 4, by EarlyStopping: Monitored metric val/instance/mean/mine did not improve",
        ),
    ],
)  # fmt: skip
def test_a_training_that_stopped_early_says_so(train, tmp_path, extra, told):
    _, tested = train(tmp_path, *extra)
    assert any(told in note for note in tested.notes), tested.notes


def test_a_users_own_checkpoints_are_kept_as_well(train, tmp_path):
    target = "+callbacks.every._target_=pytorch_lightning.callbacks.ModelCheckpoint"
    train(tmp_path, target, f"+callbacks.every.dirpath={tmp_path}/mine", "+callbacks.every.save_top_k=-1")
    assert len(list((tmp_path / "mine").iterdir())) == 3
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]


def test_a_training_without_a_step_is_refused(train, tmp_path):
    with pytest.raises(UsageError, match="the training took no step"):
        train(tmp_path, "+trainer.max_time=00:00:00:00")


class Failing(L.Callback):
    """Breaks at the end of the test, after the metrics are there."""

    def on_test_epoch_end(self, trainer, module):
        raise ValueError("broken after the metrics")


def test_what_fails_after_the_metrics_does_not_cost_them(train, tmp_path, caplog):
    context, _ = train(tmp_path, "model.epochs=1", f"+callbacks.failing._target_={__name__}.Failing")
    assert context.outputs.result.metrics
    assert "the test ended early, after its metrics: ValueError: broken after the metrics" in caplog.text


def averaging(name):
    return f"+callbacks.average._target_=pytorch_lightning.callbacks.{name}"


def test_one_checkpoint_gives_one_result_with_averaged_weights(train, tmp_path):
    trained, tested = train(tmp_path / "a", averaging("EMAWeightAveraging"), "+callbacks.average.decay=0.9")
    assert tested.notes[-1].endswith(", averaged over the steps")
    best = tmp_path / "a/checkpoints/best.ckpt"
    alone, again = train(tmp_path / "b", "stage=[test]", f"model.checkpoint={best}")
    assert alone.outputs.result.metrics == trained.outputs.result.metrics
    assert torch.equal(alone.outputs.embeddings.images, trained.outputs.embeddings.images)
    assert again.notes == tested.notes


def test_an_average_that_is_not_tested_is_told(train, tmp_path):
    options = ("+callbacks.average.swa_lrs=0.01", "+callbacks.average.swa_epoch_start=1")
    trained, tested = train(tmp_path / "a", averaging("StochasticWeightAveraging"), *options)
    assert any("the weights are not averaged: StochasticWeightAveraging" in note for note in tested.notes)
    best = tmp_path / "a/checkpoints/best.ckpt"
    alone, _ = train(tmp_path / "b", "stage=[test]", f"model.checkpoint={best}")
    assert alone.outputs.result.metrics == trained.outputs.result.metrics


def test_a_warm_start_is_noted_and_a_resumed_training_has_none(train, tmp_path):
    start = "model.warm_start={_target_: fico.features.warm_start.CCAStart, components: 80}"
    scan = ("model=scan", "model.epochs=1", start, "model.module.network.standardise_images=true")
    context, tested = train(tmp_path, *scan)
    assert "warm start: 64 directions of linear CCA" in tested.notes[0]
    checkpoint = context.folder / "checkpoints" / "best.ckpt"
    assert (load_checkpoint(checkpoint)["state_dict"]["network.img_enc.scale.deviation"] != 1).any()
    _, tested = train(tmp_path / "resumed", *scan, "model.epochs=2", f"model.checkpoint={checkpoint}")
    assert not any("warm start" in note for note in tested.notes)
