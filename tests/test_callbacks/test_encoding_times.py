"""Encoding times: sizes in growing order, within a budget, and every row read as often as it has copies."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pytorch_lightning.plugins.precision import Precision

from callbacks import budget, encoding_times
from callbacks.encoding_times import EncodingTimes
from fico.errors import UsageError
from fico.experiment.datamodule import RetrievalDataModule
from fico.features.base import SplitInputs
from fico.run_context import EpochOutputs
from fico.types import Correspondence, EncodedBatch

IMAGES, PER_IMAGE, DIM = 70, 2, 4  # more images than one batch


class Module:
    def __init__(self):
        self.seen = Counter()

    def test_step(self, batch, index):
        self.seen.update(batch.images[:, 0].int().tolist())
        states = batch.images[:, None].expand(-1, 1000, -1)
        return EncodedBatch(batch.images, batch.image_ids, batch.texts, batch.text_ids, image_states=states)


@pytest.fixture
def trainer():
    rows = np.repeat(np.arange(IMAGES), PER_IMAGE)
    images = np.arange(IMAGES * DIM, dtype=np.float32).reshape(IMAGES, DIM) // DIM
    split = SimpleNamespace(
        name="test", dataset="made", correspondence=Correspondence(rows), captions=("a",) * len(rows),
        image_ids=tuple(map(str, range(IMAGES))), caption_ids=tuple(map(str, range(len(rows)))),
    )  # fmt: skip
    inputs = SimpleNamespace(splits={"test": SplitInputs(images, images[rows], None)})
    data = RetrievalDataModule({"test": split}, inputs, test_split="test", batch_size=8, seed=0, workers=0)
    data.evaluated_split = lambda trainer: split
    strategy = SimpleNamespace(batch_to_device=lambda batch: batch)
    return SimpleNamespace(datamodule=data, world_size=1, precision_plugin=Precision(), strategy=strategy)


@pytest.fixture
def context(tmp_path):
    return SimpleNamespace(outputs=EpochOutputs(), folder=tmp_path, rerank=None)


def test_each_size_is_encoded_whole_and_timed_in_parts(trainer, context):
    module = Module()
    EncodingTimes(context, copies=(1, 3), repeats=2, seconds=1e-9).on_test_epoch_end(trainer, module)
    one, three = context.outputs.encoding
    assert (three["copies"], three["images"], three["captions"]) == (3, 3 * IMAGES, 3 * IMAGES * PER_IMAGE)
    # two repeats of one pass each, of one copy and of three, and one pass to warm up
    assert set(module.seen.values()) == {1 + 2 * 1 + 2 * 3}
    assert len(module.seen) == IMAGES
    for row in (one, three):
        assert 0 < row["fastest_seconds"] <= row["seconds"] <= row["slowest_seconds"]
        assert row["seconds"] + row["loading_seconds"] + row["collecting_seconds"] <= row["wall_seconds"] * 1.5
        assert row["peak_memory_bytes"] > 0


def test_a_repeat_lasts_as_long_as_it_is_told_to(trainer, context):
    module = Module()
    EncodingTimes(context, copies=(1,), repeats=1, seconds=0.2).on_test_epoch_end(trainer, module)
    assert module.seen[0] > 3  # many passes of far less
    assert context.outputs.encoding[0]["wall_seconds"] < 0.2


def test_what_does_not_fit_into_the_budget_is_left_out_but_for_the_first_sizes(trainer, context, caplog):
    caplog.set_level("INFO")
    sizes = EncodingTimes(context, copies=(1, 2, 10**6), repeats=3, seconds=1e-9, budget=1e-6, always=2)
    sizes.on_test_epoch_end(trainer, Module())
    assert [(row["copies"], row["repeats"]) for row in context.outputs.encoding] == [(1, 1), (2, 1)]
    assert f"encoding {IMAGES * 10**6:,} images would take about" in caplog.text
    assert "left of the budget" in caplog.text


def test_a_size_has_fewer_repeats_before_it_is_left_out(trainer, context):
    sizes = EncodingTimes(context, copies=(1, 2, 3), repeats=3, seconds=0.2, budget=1.2)
    sizes.on_test_epoch_end(trainer, Module())  # 3 repeats take 0.6 s
    first, second, *_ = [row["repeats"] for row in context.outputs.encoding]
    assert first == 3
    assert 1 <= second < 3


@pytest.mark.parametrize("kept", ["memory", "disk"])
def test_a_size_whose_rows_do_not_fit_is_left_out_and_the_line_says_why(trainer, context, caplog, monkeypatch, kept):
    caplog.set_level("INFO")
    monkeypatch.setattr(encoding_times, "IN_MEMORY_BYTES", 10**5 if kept == "memory" else 0)
    monkeypatch.setattr(budget, f"free_{kept}", lambda *_: 10_000)  # one copy takes 7 KB
    EncodingTimes(context, copies=(1, 2), repeats=1, seconds=1e-9).on_test_epoch_end(trainer, Module())
    assert [row["copies"] for row in context.outputs.encoding] == [1]
    assert f"of {kept}: more than the 9.8 KiB of {kept} that are free" in caplog.text


def test_states_are_kept_only_for_a_re_ranker(trainer, context, monkeypatch):
    """Its rows then take a thousand times as much."""
    monkeypatch.setattr(budget, "free_memory", lambda: 10**6)
    context.rerank = {"k": 1}
    EncodingTimes(context, copies=(1,), repeats=1, seconds=1e-9).on_test_epoch_end(trainer, Module())
    assert not context.outputs.encoding
    context.rerank = None
    EncodingTimes(context, copies=(1,), repeats=1, seconds=1e-9).on_test_epoch_end(trainer, Module())
    assert context.outputs.encoding


@pytest.mark.parametrize("is_readable", [True, False])
def test_the_energy_is_of_one_pass(trainer, context, monkeypatch, is_readable):
    class Meter:
        def __init__(self):
            self.reads = 0

        def read(self):
            self.reads += 1
            return float(self.reads) if is_readable else None

    monkeypatch.setattr(encoding_times, "EnergyMeter", Meter)
    EncodingTimes(context, copies=(1,), repeats=3, seconds=0.05).on_test_epoch_end(trainer, Module())
    (joules,) = [row["energy_joules"] for row in context.outputs.encoding]
    if is_readable:  # a joule for each of the two batches of a pass, and one for the last reading of several passes
        assert 2 < joules <= 3
    else:
        assert joules is None


def test_several_processes_measure_nothing(trainer, context, caplog):
    trainer.world_size = 2
    EncodingTimes(context).on_test_epoch_end(trainer, Module())
    assert not context.outputs.encoding
    assert "trainer.devices=1" in caplog.text


@pytest.mark.parametrize(
    ("options", "named"),
    [({"copies": ()}, "copies"), ({"copies": (10, 1)}, "copies"), ({"copies": (0, 1)}, "copies"),
     ({"repeats": 0}, "repeats"), ({"always": 0}, "always"), ({"seconds": 0}, "seconds"),
     ({"budget": "soon"}, "budget")],
)  # fmt: skip
def test_wrong_arguments_are_named(context, options, named):
    with pytest.raises(UsageError, match=rf"callbacks\.times\.{named} is"):
        EncodingTimes(context, **options)


def test_rows_are_collected_in_the_order_of_the_copies(trainer):
    batches = list(trainer.datamodule.copies_dataloader(2))
    ids = torch.cat([batch.image_ids for batch in batches])
    assert ids.tolist() == list(range(2 * IMAGES))
    values = torch.cat([batch.images for batch in batches])[:, 0]
    assert torch.equal(values[:IMAGES], values[IMAGES:])
