"""What the callbacks make of the encoded batches."""

import contextlib
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pytorch_lightning.plugins.precision import MixedPrecision, Precision
from torch import nn
from torch.nn import functional as F

from callbacks.efficiency import Efficiency
from callbacks.history import TrainingHistory
from callbacks.progress import EpochLines
from callbacks.retrieval import RetrievalEvaluation
from callbacks.search_scaling import SearchScaling
from callbacks.stamp import ConfigStamp
from callbacks.store import EmbeddingWriter
from fico.embeddings.store import EmbeddingStore
from fico.errors import DataError, UsageError
from fico.evaluation.evaluate import evaluate
from fico.run_context import EpochOutputs, EpochValues, RunContext
from fico.search.exact import ExactSearch
from fico.search.faiss_index import FaissSearch
from fico.search.hamming.popcount import PopcountSearch
from fico.search.hybrid.hybrid import HybridSearch
from fico.types import Correspondence, EncodedBatch

IMAGES, PER_IMAGE, DIM = 8, 3, 6


@pytest.fixture
def split():
    rows = np.repeat(np.arange(IMAGES), PER_IMAGE)
    generator = np.random.default_rng(0)
    return SimpleNamespace(
        name="test",
        image_ids=tuple(f"image{row}" for row in range(IMAGES)),
        caption_ids=tuple(f"caption{row}" for row in range(len(rows))),
        correspondence=Correspondence(rows),
        labels=generator.random((IMAGES, 4)) < 0.5,
        fingerprint="f",
    )


@pytest.fixture
def trainer(split):
    data = SimpleNamespace(evaluated_split=lambda trainer: split, test_split="test")
    return SimpleNamespace(
        datamodule=data,
        world_size=1,
        global_rank=0,
        is_global_zero=True,
        loggers=[],
        precision_plugin=Precision(),
    )


OPTIONS = {"tasks": ("instance", "category"), "ties": "expected", "ap": "hits", "bootstrap": 20}


def make_context(folder, similarity="cosine", bits=None, indexes=None, outputs=None):
    return RunContext(
        folder=folder,
        model={"similarity": similarity, "module": {"_target_": "x"}} | ({} if bits is None else {"bits": bits}),
        metric=OPTIONS,
        monitor="val/x",
        indexes=indexes or {},
        origin={"model": "m"},
        fingerprint="f",
        outputs=outputs or EpochOutputs(),
    )


@pytest.fixture
def context(tmp_path):
    return make_context(tmp_path)


@pytest.fixture
def batches():
    """An epoch of two batches, the second half of the images first."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(IMAGES, DIM, generator=generator)
    texts = images.repeat_interleave(PER_IMAGE, 0) + 0.8 * torch.randn(IMAGES * PER_IMAGE, DIM, generator=generator)
    encoded = []
    for rows in (torch.arange(IMAGES // 2, IMAGES), torch.arange(IMAGES // 2)):
        captions = torch.cat([torch.arange(row * PER_IMAGE, (row + 1) * PER_IMAGE) for row in rows.tolist()])
        encoded.append(EncodedBatch(images[rows], rows, texts[captions], captions))
    return encoded


class Module:
    """Keeps what is logged."""

    device = torch.device("cpu")

    def __init__(self):
        self.logged = {}

    def log_dict(self, values, **_):
        self.logged |= values


def run_epoch(context, trainer, module, batches, stage="test"):
    """The hooks that Lightning calls in an evaluation epoch."""
    epoch = RetrievalEvaluation(context)
    getattr(epoch, f"on_{stage}_epoch_start")(trainer, module)
    for number, batch in enumerate(batches):
        getattr(epoch, f"on_{stage}_batch_end")(trainer, module, batch, None, number)
    getattr(epoch, f"on_{stage}_epoch_end")(trainer, module)
    return module


@pytest.fixture
def encoded(trainer, context, batches):
    """Embeddings of an epoch."""
    run_epoch(context, trainer, Module(), batches)
    return context.outputs.embeddings


def test_the_epoch_is_scored_as_the_library_scores_the_arrays(encoded, batches, context, trainer, split):
    module = run_epoch(context, trainer, Module(), batches)
    wanted = evaluate(
        encoded.images, encoded.texts, split.correspondence, labels=split.labels, similarity="cosine", **OPTIONS
    )
    assert context.outputs.result.metrics == wanted.metrics
    assert module.logged["test/instance/t2i/R@1"] == wanted.metrics["instance/t2i/R@1"]


def test_the_mean_of_both_directions_is_logged_and_chance_is_not(batches, context, trainer):
    module = run_epoch(context, trainer, Module(), batches)
    i2t, t2i = (module.logged[f"test/category/{way}/mAP@N"] for way in ("i2t", "t2i"))
    assert module.logged["test/category/mean/mAP@N"] == pytest.approx((i2t + t2i) / 2)
    assert not [name for name in module.logged if "chance" in name]


class Backwards(Module):
    """A pair scorer that likes best what is farthest."""

    dtype = None

    def score(self, images, texts, lengths=None):
        scores = -images @ texts.T
        self.dtype = scores.dtype
        return scores


def test_the_scores_of_a_pair_scorer_are_what_is_evaluated(encoded, batches, context, trainer, split):
    run_epoch(context, trainer, Backwards(), batches)
    wanted = evaluate(
        -encoded.images, encoded.texts, split.correspondence, labels=split.labels, similarity="inner", **OPTIONS
    )
    assert context.outputs.result.metrics == pytest.approx(wanted.metrics)
    assert context.outputs.attention_seconds > 0


@pytest.mark.parametrize("stage", ["validation", "test"])
def test_pairs_are_scored_under_the_precision_of_the_trainer(batches, context, trainer, stage):
    module, trainer.precision_plugin = Backwards(), MixedPrecision("bf16-mixed", "cpu")
    run_epoch(context, trainer, module, batches, stage)
    assert module.dtype == torch.bfloat16
    assert context.outputs.i2t.dtype == np.float32


def test_reading_embeddings_before_they_are_collected_is_an_error(context, trainer):
    with pytest.raises(RuntimeError, match="RetrievalEvaluation must stand before"):
        EmbeddingWriter(context).on_test_epoch_end(trainer, None)


def test_a_device_that_is_not_there_is_refused_before_the_training(context):
    context = replace(context, metric={**OPTIONS, "device": "tpu"})
    with pytest.raises(UsageError, match="'tpu' is not a device of torch"):
        RetrievalEvaluation(context)


def test_an_embedding_that_is_not_finite_is_named(encoded, context, trainer):
    encoded.texts[4, 0] = torch.nan
    with pytest.raises(DataError, match="caption4"):
        run_epoch(context, trainer, Module(), [encoded])


def test_stored_embeddings_load_as_they_were_with_ids_and_labels(encoded, context, trainer, split, tmp_path):
    EmbeddingWriter(context).on_test_epoch_end(trainer, None)
    store = EmbeddingStore.load(tmp_path / "embeddings")
    assert np.array_equal(store.images, encoded.images.numpy())
    assert store.caption_ids == split.caption_ids
    assert np.array_equal(store.labels, split.labels)


def test_exact_search_finds_what_exact_search_finds(encoded, context, trainer):
    context = make_context(context.folder, indexes={"exact": lambda: ExactSearch("cosine")}, outputs=context.outputs)
    SearchScaling(context).on_test_epoch_end(trainer, None)
    rows = context.outputs.search_rows
    assert {row["index"] for row in rows} == {"exact"}
    assert all(value == 1.0 for row in rows for value in row["overlap_at_k"].values())


@pytest.mark.parametrize(
    ("make", "bits", "message"),
    [
        (lambda: PopcountSearch(64, device="tpu"), None, "'tpu'"),
        (lambda: HybridSearch(bits=7), 64, "bits is 7"),
        (lambda: PopcountSearch(32), 64, r"bits=32.*64 bits.*index\.mine\.bits null"),
        (lambda: FaissSearch("BFlat", bits=32), 64, r"bits=32.*64 bits"),
    ],
)
def test_an_index_that_cannot_search_is_refused_before_the_training(tmp_path, make, bits, message):
    with pytest.raises(UsageError, match=message):
        SearchScaling(make_context(tmp_path, "hamming" if bits else "cosine", bits, {"mine": make}))


def test_indexes_that_follow_the_model_are_let_through(tmp_path):
    makers = {"popcount": PopcountSearch, "same": lambda: PopcountSearch(64), "hybrid": HybridSearch}
    SearchScaling(make_context(tmp_path, "hamming", 64, makers))


def test_efficiency_counts_the_seconds_inside_batches_only(context):
    efficiency = Efficiency(context)
    efficiency.on_test_epoch_start(None, None)
    time.sleep(0.05)
    efficiency.on_test_batch_start()
    efficiency.on_test_batch_end(None, None, None, None, 1)
    efficiency.on_test_epoch_end(None, None)
    assert 0 < context.outputs.encode_seconds < 0.05 < context.outputs.encode_wall_seconds
    assert context.outputs.peak_memory_bytes > 10_000_000


def test_flops_are_counted_in_a_pass_that_no_time_contains(context, encoded):
    trainer = SimpleNamespace(precision_plugin=SimpleNamespace(test_step_context=contextlib.nullcontext))

    def step(batch, index):
        time.sleep(0.05)
        return batch @ torch.ones(3, 5)

    efficiency = Efficiency(context)
    efficiency.on_test_epoch_start(None, None)
    module = SimpleNamespace(test_step=step, parameters=list)
    for rows in (2, 7):  # the last batch counts, which a run that goes on encodes too
        efficiency.on_test_batch_start()
        efficiency.on_test_batch_end(trainer, module, encoded, torch.ones(rows, 3), rows)
    efficiency.on_test_epoch_end(trainer, module)
    items = len(encoded.images) + len(encoded.texts)
    assert context.outputs.flops_per_item == pytest.approx(2 * 7 * 3 * 5 / items)
    assert context.outputs.encode_seconds < context.outputs.encode_wall_seconds < 0.05


def test_operations_on_parameters_alone_are_counted(context, encoded):
    class Queries(torch.nn.Module):  # as BLIP-2's, which are expanded and handed to a layer
        def __init__(self):
            super().__init__()
            self.queries, self.layer = torch.nn.Parameter(torch.ones(1, 3)), torch.nn.Linear(3, 5, bias=False)

        def test_step(self, batch, index):
            return self.layer(self.queries.expand(len(batch), -1))

    module = Queries()
    trainer = SimpleNamespace(precision_plugin=SimpleNamespace(test_step_context=contextlib.nullcontext))
    efficiency = Efficiency(context)
    with torch.inference_mode():  # as a test has it
        efficiency.on_test_epoch_start(None, None)
        efficiency.on_test_batch_start()
        efficiency.on_test_batch_end(trainer, module, encoded, torch.ones(7, 1), 0)
        efficiency.on_test_epoch_end(trainer, module)
    items = len(encoded.images) + len(encoded.texts)
    assert context.outputs.flops_per_item == pytest.approx(2 * 7 * 3 * 5 / items)
    assert all(parameter.requires_grad for parameter in module.parameters())


ATTENTION = 2 * 4 * (4 * 7 * 16 * 16) + 2 * (2 * 4 * 2 * 7 * 7 * 8)  # four maps; two heads: scores, and their sums
LAYERS = {
    "attention": (lambda: lambda x: F.scaled_dot_product_attention(*3 * [x[:, None]]), 2 * (2 * 4 * 7 * 7 * 16)),
    "heads": (lambda: Self(nn.MultiheadAttention(16, 2, batch_first=True)), ATTENTION),
    "transformer": (lambda: nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), ATTENTION + 4 * 4 * 7 * 16 * 32),
    "gru": (lambda: nn.GRU(16, 16, batch_first=True, bidirectional=True), 2 * 2 * 4 * 7 * (16 + 16) * 3 * 16),
}


class Self(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x, x, x)


@pytest.mark.parametrize("name", LAYERS)
def test_attention_and_recurrent_layers_count_as_their_products(context, encoded, name):
    """Four rows of seven vectors of 16 numbers."""

    class Layered(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.is_cudnn_on = LAYERS[name][0](), None

        def test_step(self, batch, index):
            self.is_cudnn_on = torch.backends.cudnn.enabled  # its recurrent kernels are not counted
            return self.layer(batch)

    module = Layered().eval()
    trainer = SimpleNamespace(precision_plugin=SimpleNamespace(test_step_context=contextlib.nullcontext))
    efficiency = Efficiency(context)
    with torch.inference_mode():
        efficiency.on_test_epoch_start(None, None)
        efficiency.on_test_batch_start()
        efficiency.on_test_batch_end(trainer, module, encoded, torch.ones(4, 7, 16), 0)
        efficiency.on_test_epoch_end(trainer, module)
    items = len(encoded.images) + len(encoded.texts)
    assert context.outputs.flops_per_item == pytest.approx(LAYERS[name][1] / items)
    assert module.is_cudnn_on is False
    assert torch.backends.cudnn.enabled
    assert torch.backends.mha.get_fastpath_enabled()


def test_what_cannot_be_counted_costs_nothing_else(context, encoded):
    trainer = SimpleNamespace(precision_plugin=SimpleNamespace(test_step_context=contextlib.nullcontext))
    efficiency = Efficiency(context)
    efficiency.on_test_epoch_start(None, None)
    efficiency.on_test_batch_start()
    efficiency.on_test_batch_end(trainer, SimpleNamespace(parameters=list), encoded, None, 0)
    efficiency.on_test_epoch_end(trainer, SimpleNamespace(parameters=list))
    assert context.outputs.flops_per_item is None


def test_a_stamp_loads_without_pickle(tmp_path, context):
    checkpoint = {"state_dict": {}}
    ConfigStamp(context).on_save_checkpoint(None, None, checkpoint)
    torch.save(checkpoint, tmp_path / "c.ckpt")
    assert torch.load(tmp_path / "c.ckpt", weights_only=True)["fico"]["model"]["module"]["_target_"] == "x"


def test_an_epoch_line_tells_loss_metric_and_time_left(caplog, context):
    values = {"train/loss": 1.5, "val/x": 0.25}
    trainer = SimpleNamespace(is_global_zero=True, current_epoch=0, max_epochs=3, callback_metrics=values)
    lines = EpochLines(context)
    lines.on_fit_start(trainer, None)
    with caplog.at_level("INFO"):
        lines.on_train_epoch_end(trainer, None)
    assert "epoch 1 of 3: train/loss 1.5000, val/x 0.2500" in caplog.text


def test_the_history_has_each_epoch_once_also_after_a_resume(tmp_path):
    def epochs(history, first, last):
        for epoch in range(first, last):
            values = {"train/loss": torch.tensor(2.0 - epoch), **({"val/x": torch.tensor(0.5)} if epoch else {})}
            history.on_train_epoch_end(SimpleNamespace(current_epoch=epoch, callback_metrics=values), None)

    whole, resumed = make_context(tmp_path), make_context(tmp_path)
    kept = TrainingHistory(whole)
    epochs(kept, 0, 2)
    torch.save(kept.state_dict(), tmp_path / "state")
    other = TrainingHistory(resumed)
    other.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    for history in (kept, other):
        epochs(history, 2, 3)
    assert whole.outputs.history == resumed.outputs.history
    assert whole.outputs.history[:2] == [EpochValues(1, 2.0, None), EpochValues(2, 1.0, 0.5)]
    assert len(whole.outputs.history) == 3


def test_the_rows_of_search_reach_loggers_as_numbers_table_and_image(encoded, context, trainer, split):
    class Logger:
        """Keeps what it is given."""

        def log_metrics(self, values):
            self.values = values

        def log_table(self, key, columns, data):
            self.table = key, columns, data

        def log_image(self, key, images):
            self.image = key, images

        def save(self):
            pass

    logger = Logger()
    trainer.loggers = [logger]
    context = make_context(context.folder, indexes={"exact": lambda: ExactSearch("cosine")}, outputs=context.outputs)
    SearchScaling(context).on_test_epoch_end(trainer, None)
    wanted = evaluate(
        encoded.images, encoded.texts, split.correspondence, labels=split.labels, ties="index", bootstrap=1
    )
    for way in ("i2t", "t2i"):
        assert logger.values[f"search/{way}/exact/R@1"] == pytest.approx(wanted.metrics[f"instance/{way}/R@1"])
        assert logger.values[f"search/{way}/exact/mAP@10"] == pytest.approx(wanted.metrics[f"category/{way}/mAP@10"])
    assert (logger.table[0], len(logger.table[2]), logger.image[0]) == ("search/rows", 2, "search/recall_and_time")
