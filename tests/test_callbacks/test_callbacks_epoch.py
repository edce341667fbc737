"""What the callbacks make of the encoded batches."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from callbacks.efficiency import Efficiency
from callbacks.encoded import EncodedEpoch
from callbacks.progress import EpochLines
from callbacks.retrieval import RetrievalEvaluation
from callbacks.scores import PairScores
from callbacks.search_scaling import SearchScaling
from callbacks.stamp import ConfigStamp
from callbacks.store import EmbeddingWriter
from fico.embeddings.store import EmbeddingStore
from fico.errors import DataError, UsageError
from fico.evaluation.evaluate import evaluate
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
    return SimpleNamespace(datamodule=data, world_size=1, global_rank=0, is_global_zero=True, loggers=[])


@pytest.fixture
def encoded(trainer):
    """An epoch of two batches, the second half of the images first."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(IMAGES, DIM, generator=generator)
    texts = images.repeat_interleave(PER_IMAGE, 0) + 0.8 * torch.randn(IMAGES * PER_IMAGE, DIM, generator=generator)
    epoch = EncodedEpoch()
    epoch.on_test_epoch_start(trainer, None)
    for rows in (torch.arange(IMAGES // 2, IMAGES), torch.arange(IMAGES // 2)):
        captions = torch.cat([torch.arange(row * PER_IMAGE, (row + 1) * PER_IMAGE) for row in rows.tolist()])
        batch = EncodedBatch(images[rows], rows, texts[captions], captions)
        epoch.on_test_batch_end(trainer, None, batch, None, 0)
    epoch.on_test_epoch_end(trainer, None)
    return epoch


@pytest.fixture
def scores(encoded, tmp_path):
    return PairScores(encoded, tmp_path)


class Module:
    """Keeps what is logged."""

    def __init__(self):
        self.logged = {}

    def log_dict(self, values, **_):
        self.logged |= values


OPTIONS = {"tasks": ("instance", "category"), "ties": "expected", "ap": "hits", "bootstrap": 20}


def test_the_epoch_is_scored_as_the_library_scores_the_arrays(encoded, scores, trainer, split):
    retrieval, module = RetrievalEvaluation(encoded, scores, "cosine", OPTIONS), Module()
    retrieval.on_test_epoch_end(trainer, module)
    both = encoded.embeddings
    wanted = evaluate(
        both.images, both.texts, split.correspondence, labels=split.labels, similarity="cosine", **OPTIONS
    )
    assert retrieval.result.metrics == wanted.metrics
    assert module.logged["test/instance/t2i/R@1"] == wanted.metrics["instance/t2i/R@1"]


def test_the_mean_of_both_directions_is_logged_and_chance_is_not(encoded, scores, trainer):
    module = Module()
    RetrievalEvaluation(encoded, scores, "cosine", OPTIONS).on_test_epoch_end(trainer, module)
    i2t, t2i = (module.logged[f"test/category/{way}/mAP@N"] for way in ("i2t", "t2i"))
    assert module.logged["test/category/mean/mAP@N"] == pytest.approx((i2t + t2i) / 2)
    assert not [name for name in module.logged if "chance" in name]


def test_the_scores_of_a_pair_scorer_are_what_is_evaluated(encoded, scores, trainer, split):
    class Backwards(Module):
        """Likes best what is farthest."""

        def score(self, images, texts, lengths=None):
            return -images @ texts.T

    module = Backwards()
    scores.on_test_epoch_end(trainer, module)
    retrieval = RetrievalEvaluation(encoded, scores, "inner", OPTIONS)
    retrieval.on_test_epoch_end(trainer, module)
    both = encoded.embeddings
    wanted = evaluate(
        -both.images, both.texts, split.correspondence, labels=split.labels, similarity="inner", **OPTIONS
    )
    assert retrieval.result.metrics == pytest.approx(wanted.metrics)
    assert scores.attention_seconds > 0


def test_an_embedding_that_is_not_finite_is_named(encoded, trainer):
    both = encoded.embeddings
    encoded.on_test_epoch_start(trainer, None)
    both.texts[4, 0] = torch.nan
    encoded.on_test_batch_end(trainer, None, both, None, 0)
    with pytest.raises(DataError, match="caption4"):
        encoded.on_test_epoch_end(trainer, Module())


def test_stored_embeddings_load_as_they_were_with_ids_and_labels(encoded, trainer, split, tmp_path):
    EmbeddingWriter(encoded, tmp_path, None, {"model": "m"}).on_test_epoch_end(trainer, None)
    store = EmbeddingStore.load(tmp_path / "embeddings")
    assert np.array_equal(store.images, encoded.embeddings.images.numpy())
    assert store.caption_ids == split.caption_ids
    assert np.array_equal(store.labels, split.labels)


def test_exact_search_finds_what_exact_search_finds(encoded, trainer):
    search = SearchScaling(encoded, {"exact": lambda: ExactSearch("cosine")}, "cosine", None)
    search.on_test_epoch_end(trainer, None)
    assert {row["index"] for row in search.rows} == {"exact"}
    assert all(value == 1.0 for row in search.rows for value in row["overlap_at_k"].values())


@pytest.mark.parametrize(
    ("make", "bits", "told"),
    [
        (lambda: PopcountSearch(64, device="tpu"), None, "'tpu'"),
        (lambda: HybridSearch(bits=7), 64, "bits is 7"),
        (lambda: PopcountSearch(32), 64, r"bits=32.*64 bits.*index\.mine\.bits null"),
        (lambda: FaissSearch("BFlat", bits=32), 64, r"bits=32.*64 bits"),
    ],
)
def test_an_index_that_cannot_search_is_refused_before_the_training(encoded, make, bits, told):
    with pytest.raises(UsageError, match=told):
        SearchScaling(encoded, {"mine": make}, "hamming" if bits else "cosine", bits)


def test_indexes_that_follow_the_model_are_let_through(encoded):
    makers = {"popcount": PopcountSearch, "same": lambda: PopcountSearch(64), "hybrid": HybridSearch}
    SearchScaling(encoded, makers, "hamming", 64)


def test_efficiency_counts_the_seconds_inside_batches_only():
    efficiency = Efficiency()
    efficiency.on_test_epoch_start(None, None)
    assert efficiency.encode_seconds == 0
    efficiency.on_test_batch_start()
    efficiency.on_test_batch_end()
    assert 0 < efficiency.encode_seconds < 1
    assert efficiency.peak_memory_bytes > 10_000_000


def test_a_stamp_loads_without_pickle(tmp_path):
    checkpoint = {"state_dict": {}}
    ConfigStamp({"module": {"_target_": "x"}}, "f").on_save_checkpoint(None, None, checkpoint)
    torch.save(checkpoint, tmp_path / "c.ckpt")
    assert torch.load(tmp_path / "c.ckpt", weights_only=True)["fico"]["model"]["module"]["_target_"] == "x"


def test_an_epoch_line_tells_loss_metric_and_time_left(caplog):
    trainer = SimpleNamespace(current_epoch=0, max_epochs=3, callback_metrics={"train/loss": 1.5, "val/x": 0.25})
    lines = EpochLines("val/x")
    lines.on_fit_start(trainer, None)
    with caplog.at_level("INFO"):
        lines.on_train_epoch_end(trainer, None)
    assert "epoch 1 of 3: train/loss 1.5000, val/x 0.2500" in caplog.text


def test_the_rows_of_search_reach_loggers_as_numbers_table_and_image(encoded, trainer, split):
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
    search = SearchScaling(encoded, {"exact": lambda: ExactSearch("cosine")}, "cosine", None, OPTIONS)
    search.on_test_epoch_end(trainer, None)
    both = encoded.embeddings
    wanted = evaluate(both.images, both.texts, split.correspondence, labels=split.labels, ties="index", bootstrap=1)
    for way in ("i2t", "t2i"):
        assert logger.values[f"search/{way}/exact/R@1"] == pytest.approx(wanted.metrics[f"instance/{way}/R@1"])
        assert logger.values[f"search/{way}/exact/mAP@10"] == pytest.approx(wanted.metrics[f"category/{way}/mAP@10"])
    assert (logger.table[0], len(logger.table[2]), logger.image[0]) == ("search/rows", 2, "search/recall_and_time")
