"""Attention times: sizes in growing order, within a budget, of all pairs or of candidates."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pytorch_lightning.plugins.precision import Precision

from callbacks import attention_times, budget
from callbacks.attention_times import AttentionTimes, most_pairs
from fico.errors import UsageError
from fico.run_context import EpochOutputs
from fico.scoring import matrix, rerank
from fico.types import Correspondence, EncodedBatch

IMAGES, PER_IMAGE, DIM = 6, 2, 4
OWNERS = np.tile(np.arange(IMAGES), PER_IMAGE)  # the captions of an image are not neighbours


class Scorer:
    def score(self, images, texts, lengths=None):
        return images @ texts.T


class Matching:
    def match(self, image_states, text_states, lengths=None):
        return (image_states * text_states).sum(1)


@pytest.fixture
def encoded():
    generator = torch.Generator().manual_seed(0)
    images, texts = (torch.randn(rows, DIM, generator=generator) for rows in (IMAGES, IMAGES * PER_IMAGE))
    ids = torch.arange(IMAGES), torch.arange(IMAGES * PER_IMAGE)
    return EncodedBatch(images, ids[0], texts, ids[1], torch.ones_like(ids[1]), images.clone(), texts[:, None].clone())


@pytest.fixture
def trainer():
    split = SimpleNamespace(correspondence=Correspondence(OWNERS))
    data = SimpleNamespace(evaluated_split=lambda trainer: split)
    return SimpleNamespace(datamodule=data, world_size=1, precision_plugin=Precision())


def context(tmp_path, encoded, rerank=None):
    outputs = EpochOutputs(encoded=encoded)
    return SimpleNamespace(outputs=outputs, folder=tmp_path, rerank=rerank)


def test_a_pair_scorer_scores_all_pairs_of_each_size(tmp_path, encoded, trainer):
    run = context(tmp_path, encoded)
    AttentionTimes(run, images=(3, 6, 13)).on_test_epoch_end(trainer, Scorer())
    rows = run.outputs.attention
    assert [(row["images"], row["captions"], row["pairs"]) for row in rows] == [(3, 6, 18), (6, 12, 72), (13, 26, 338)]
    assert {row["rule"] for row in rows} == {"all"}
    assert all(row["seconds"] > 0 for row in rows)
    assert list(tmp_path.iterdir()) == []  # the scores are not kept


def test_no_row_is_hashed_for_scores_that_nobody_keeps(tmp_path, encoded, trainer, monkeypatch):
    def refused(*_):
        raise AssertionError("a key was made")

    for owner in (matrix, rerank):
        monkeypatch.setattr(owner, "score_key", refused)
    run = context(tmp_path, encoded)
    AttentionTimes(run, images=(3, 13)).on_test_epoch_end(trainer, Scorer())
    run.rerank = {"k": 2, "rule": "itm"}
    encoded.text_states = encoded.text_states[:, 0]
    AttentionTimes(run, images=(3, 13), k=2).on_test_epoch_end(trainer, Matching())
    assert len(run.outputs.attention) == 2 + 4


def written(path, shape, seconds):
    """Scores and their journal, as a test leaves them that took so long."""
    np.save(path, np.zeros(shape, np.float32))
    path.with_name(f"{path.name}.journal").write_text(f"key\n0 00000000 0.050\n1 00000000 {seconds:.3f}\n")


def test_the_tests_own_size_is_a_row_and_not_timed_again(tmp_path, encoded, trainer):
    written(tmp_path / "scores.npy", (IMAGES, len(OWNERS)), 7.5)
    run = context(tmp_path, encoded)
    AttentionTimes(run, images=(3, IMAGES, 13)).on_test_epoch_end(trainer, Scorer())
    small, own, large = run.outputs.attention
    assert own == {
        "images": IMAGES, "captions": len(OWNERS), "rule": "all", "k": None, "pairs": IMAGES * len(OWNERS),
        "seconds": 7.5, "cpu_seconds": None,
    }  # fmt: skip
    assert (small["images"], large["images"]) == (3, 13)
    assert own.keys() == small.keys()


def test_the_tests_own_size_says_what_a_larger_one_would_take(tmp_path, encoded, trainer):
    written(tmp_path / "scores.npy", (IMAGES, len(OWNERS)), 7.5)
    run = context(tmp_path, encoded)
    AttentionTimes(run, images=(3, 13), budget="30s").on_test_epoch_end(trainer, Scorer())
    assert [row["images"] for row in run.outputs.attention] == [3, IMAGES]  # 13 would take 35 s


@pytest.mark.parametrize(("k", "rules"), [(2, ["fixed"]), (1, ["scaled"]), (3, [])])
def test_a_test_with_as_many_candidates_as_a_rule_is_a_row_of_it(tmp_path, encoded, trainer, k, rules):
    written(tmp_path / "rerank.npy", (1, 20), 0.5)
    run = context(tmp_path, encoded, {"k": k, "rule": "itm"})
    encoded.text_states = encoded.text_states[:, 0]
    AttentionTimes(run, images=(3,), k=2).on_test_epoch_end(trainer, Matching())
    own = [row for row in run.outputs.attention if row["images"] == IMAGES]
    assert [(row["rule"], row["k"], row["pairs"], row["seconds"]) for row in own] == [
        (rule, k, 20, 0.5) for rule in rules
    ]


def test_a_test_that_was_over_at_once_is_timed_anew(tmp_path, encoded, trainer):
    written(tmp_path / "scores.npy", (IMAGES, len(OWNERS)), 0.004)
    run = context(tmp_path, encoded)
    AttentionTimes(run, images=(IMAGES,)).on_test_epoch_end(trainer, Scorer())
    (row,) = run.outputs.attention
    assert row["cpu_seconds"] is not None


def test_a_size_that_does_not_fit_into_memory_is_left_out(tmp_path, encoded, trainer, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr(budget, "free_memory", lambda: 1000)  # 18 candidate pairs take 720 bytes, 36 twice as much
    run = context(tmp_path, encoded, {"k": 2, "rule": "itm"})
    encoded.text_states = encoded.text_states[:, 0]
    AttentionTimes(run, images=(3, 6), k=2).on_test_epoch_end(trainer, Matching())
    assert [(row["rule"], row["images"]) for row in run.outputs.attention] == [
        ("fixed", 3), ("scaled", 3), ("scaled", 6)
    ]  # fmt: skip
    assert "attention on 6 images would take about" in caplog.text
    assert "of memory that are free" in caplog.text


def test_a_matcher_has_fixed_and_scaled_candidates(tmp_path, encoded, trainer, monkeypatch):
    monkeypatch.setattr(attention_times, "Rerank", lambda scorer, k: SimpleNamespace(score_pairs=lambda *_: None))
    run = context(tmp_path, encoded, {"k": 2, "rule": "itm"})
    AttentionTimes(run, images=(3, 2000), k=2).on_test_epoch_end(trainer, Matching())
    found = [(row["rule"], row["images"], row["k"]) for row in run.outputs.attention]
    assert found == [("fixed", 3, 2), ("fixed", 2000, 2), ("scaled", 3, 1), ("scaled", 2000, 4)]
    assert all(row["pairs"] <= most_pairs(row["images"], row["captions"], row["k"]) for row in run.outputs.attention)


def test_candidates_of_several_vectors_an_image_come_from_the_first_stages_scores(tmp_path, encoded, trainer):
    class Both(Scorer, Matching):
        pass

    encoded.images = encoded.images[:, None]  # one query token an image, as BLIP-2 has 32

    def score(images, texts, lengths=None):
        return images[:, 0] @ texts.T

    module = Both()
    module.score = score
    run = context(tmp_path, encoded, {"k": 2, "rule": "itm"})
    encoded.text_states = encoded.text_states[:, 0]
    AttentionTimes(run, images=(3,), k=2).on_test_epoch_end(trainer, module)
    assert [row["pairs"] <= 18 for row in run.outputs.attention] == [True, True]


def test_what_does_not_fit_into_the_budget_is_left_out_and_the_first_is_not(tmp_path, encoded, trainer, caplog):
    run = context(tmp_path, encoded)
    with caplog.at_level("INFO"):
        AttentionTimes(run, images=(3, 6, 13), budget=1e-9).on_test_epoch_end(trainer, Scorer())
    assert [row["images"] for row in run.outputs.attention] == [3]
    assert "attention on 6 images would take about" in caplog.text


def test_embeddings_alone_have_no_attention_and_several_processes_measure_none(tmp_path, encoded, trainer):
    run = context(tmp_path, encoded)
    AttentionTimes(run).on_test_epoch_end(trainer, object())
    trainer.world_size = 2
    AttentionTimes(run).on_test_epoch_end(trainer, Scorer())
    assert run.outputs.attention == []


@pytest.mark.parametrize(
    ("options", "named"), [({"images": (2, 1)}, "images"), ({"k": 0}, r"attention\.k"), ({"budget": "x"}, "budget")]
)
def test_wrong_arguments_are_named(tmp_path, encoded, options, named):
    with pytest.raises(UsageError, match=named):
        AttentionTimes(context(tmp_path, encoded), **options)
