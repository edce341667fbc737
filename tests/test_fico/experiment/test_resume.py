"""A training that was killed and goes on ends with the same bits as one that was not."""

import random

import numpy as np
import pytest
import pytorch_lightning as L
import torch

from fico.embeddings import encoded_shards
from fico.errors import DataError
from fico.experiment.checkpoints.module import fill_sizes, load_checkpoint
from fico.experiment.context import run_context
from fico.experiment.data import build_data
from fico.experiment.quiet import quiet
from fico.experiment.resume.unfinished import Unfinished
from fico.experiment.training import train_and_test
from tests.configs import composed

SMALL = (
    "dataset.images=20", "metric=instance", "metric.bootstrap=0", "index=[]", "logger=none", "trainer=cpu",
    "+trainer.enable_progress_bar=false", "model=vsrn", "model.epochs=3", "model.batch_size=16",
    "model.module.network.embed_dim=16", "model.module.network.word_dim=8", "model.module.captioner.hidden_dim=8",
)  # fmt: skip
pytestmark = pytest.mark.filterwarnings("ignore")


class Killed(BaseException):
    pass


class Killer(L.Callback):
    """Stops the process, as far as one test can: nothing after it runs."""

    def __init__(self, hook, count):
        self.hook, self.left = hook, count
        setattr(self, hook, self._strike)

    def _strike(self, *_, **__):
        self.left -= 1
        if self.left == 0:
            raise Killed


@pytest.fixture(scope="module")
def data():
    return {}


@pytest.fixture
def train(data, monkeypatch):
    quiet()
    monkeypatch.setattr(encoded_shards, "FLUSH_SECONDS", 0.0)

    def run(folder, kill=None, *, is_resumed=True, overrides=()):
        add = (
            ()
            if kill is None
            else (f"+callbacks.kill={{_target_: {__name__}.Killer, hook: {kill[0]}, count: {kill[1]}}}",)
        )
        config = composed(*SMALL, *overrides, *add)
        L.seed_everything(0, verbose=False)
        if "data" not in data:
            data["data"] = build_data(config)
        module = data["data"]
        module.encoded_batches = 0
        config.model.module = fill_sizes(config.model.module, module.inputs.sizes)
        context = run_context(folder, config, module, "key")
        folder.mkdir(exist_ok=True)
        unfinished = Unfinished.read(folder) or Unfinished(folder, "request", key="key")
        unfinished.is_resumed = is_resumed
        return context, train_and_test(config, module, context, [], unfinished)

    return run


@pytest.fixture(scope="module")
def whole():
    return {}


@pytest.fixture
def uninterrupted(train, whole, tmp_path_factory):
    if not whole:
        folder = tmp_path_factory.mktemp("whole")
        context, tested = train(folder)
        whole.update(folder=folder, metrics=context.outputs.result.metrics, notes=tested.notes)
    return whole


def assert_same(folder, context, tested, uninterrupted):
    assert context.outputs.result.metrics == uninterrupted["metrics"]
    assert tested.notes == uninterrupted["notes"]
    for name in ("best.ckpt", "last.ckpt"):
        found, wanted = (load_checkpoint(path / "checkpoints" / name) for path in (folder, uninterrupted["folder"]))
        for key in ("epoch", "global_step", "state_dict", "optimizer_states", "lr_schedulers"):
            assert_equal(found[key], wanted[key], f"{name}: {key}")


def assert_equal(found, wanted, place):
    """Equal to the last bit, with the same keys in the same order."""
    assert type(found) is type(wanted), place
    if isinstance(wanted, dict):
        assert list(found) == list(wanted), place
        for key, value in wanted.items():
            assert_equal(found[key], value, f"{place}.{key}")
    elif isinstance(wanted, list | tuple):
        assert len(found) == len(wanted), place
        for number, value in enumerate(wanted):
            assert_equal(found[number], value, f"{place}.{number}")
    elif isinstance(wanted, torch.Tensor):
        assert found.dtype == wanted.dtype, place
        assert torch.equal(found, wanted), place
    else:
        assert found == wanted, place


def test_a_training_that_is_killed_again_and_again_goes_on_with_the_same_bits(train, tmp_path, uninterrupted):
    for kill in (
        ("on_train_batch_end", 2),  # in the first epoch: nothing to go on with
        ("on_validation_end", 2),
        ("on_train_batch_end", 8),  # in the third epoch
        ("on_test_end", 1),
    ):
        with pytest.raises(Killed):
            train(tmp_path, kill)
    context, tested = train(tmp_path)
    assert_same(tmp_path, context, tested, uninterrupted)


def test_a_second_kill_between_best_and_last_loses_nothing(train, tmp_path, uninterrupted):
    with pytest.raises(Killed):
        train(tmp_path, ("on_train_epoch_start", 2))
    early = (tmp_path / "checkpoints/last.ckpt").read_bytes()
    with pytest.raises(Killed):
        train(tmp_path, ("on_train_epoch_start", 2))  # one more epoch: two are trained
    (tmp_path / "checkpoints/last.ckpt").write_bytes(early)  # as if killed when best.ckpt was written, last.ckpt not
    context, tested = train(tmp_path)
    assert_same(tmp_path, context, tested, uninterrupted)


def test_a_training_that_was_stopped_stays_stopped(train, tmp_path):
    stop = (
        "+callbacks.a_stop={_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: val/instance/mean/R@5, "
        "mode: max, patience: 1, divergence_threshold: -1.0, stopping_threshold: 0.0}",
    )
    with pytest.raises(Killed):
        train(tmp_path, ("on_train_end", 1), overrides=stop)
    _, tested = train(tmp_path, overrides=stop)
    assert load_checkpoint(tmp_path / "checkpoints/last.ckpt")["epoch"] == 0
    assert tested.notes[0].startswith("the training was stopped after epoch 1 of 3")


def test_never_begins_anew(train, tmp_path, caplog):
    caplog.set_level("INFO")
    short = ("model.epochs=2",)
    with pytest.raises(Killed):
        train(tmp_path, ("on_train_epoch_start", 2), overrides=short)
    caplog.clear()
    train(tmp_path, is_resumed=False, overrides=short)
    assert "goes on" not in caplog.text
    assert "epoch 1 of 2" in caplog.text


def test_encoding_skips_what_is_stored_and_adds_its_seconds(train, tmp_path, uninterrupted, caplog):
    caplog.set_level("INFO")
    for batches in (3, 2):
        with pytest.raises(Killed):
            train(tmp_path, ("on_test_batch_end", batches))
    assert "2 batches are encoded already" in caplog.text
    context, tested = train(tmp_path)
    assert "3 batches are encoded already" in caplog.text
    assert context.outputs.shards.seconds > 0
    assert context.outputs.encode_seconds > context.outputs.shards.seconds
    assert_same(tmp_path, context, tested, uninterrupted)


def test_flipped_bits_in_a_checkpoint_are_refused_or_harmless(uninterrupted, tmp_path):
    content = (uninterrupted["folder"] / "checkpoints/best.ckpt").read_bytes()
    wanted = load_checkpoint(uninterrupted["folder"] / "checkpoints/best.ckpt")["state_dict"]
    chance, path, refused = random.Random(0), tmp_path / "best.ckpt", 0
    for _ in range(40):
        damaged = bytearray(content)
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        try:
            found = load_checkpoint(path)["state_dict"]
        except DataError:
            refused += 1
        else:
            assert all(torch.equal(found[name], value) for name, value in wanted.items())
    assert refused > 20


def test_the_state_of_every_generator_is_in_a_checkpoint(uninterrupted):
    states = load_checkpoint(uninterrupted["folder"] / "checkpoints/last.ckpt")["callbacks"]["RandomState"]["ranks"]
    assert len(states) == 1
    assert states[0]["torch"].dtype == torch.uint8
    assert len(states[0]["numpy"][1]) == len(np.random.get_state()[1])  # noqa: NPY002
