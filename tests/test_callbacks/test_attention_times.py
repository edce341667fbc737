"""Attention times: sizes in growing order, within a budget, of all pairs or of candidates."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pytorch_lightning.plugins.precision import Precision

from callbacks import attention_times
from callbacks.attention_times import AttentionTimes, most_pairs, part
from fico.errors import UsageError
from fico.run_context import EpochOutputs
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


def test_a_part_has_the_captions_of_its_images_and_copies_follow_one_another(encoded):
    found = part(encoded, OWNERS, IMAGES + 2)
    assert torch.equal(found.images, torch.cat([encoded.images, encoded.images[:2]]))
    assert torch.equal(found.texts[IMAGES * PER_IMAGE :], encoded.texts[torch.tensor([0, 1, 6, 7])])
    assert torch.equal(found.text_states[:, 0], found.texts)
    assert found.text_ids.tolist() == list(range(16))


@pytest.mark.parametrize(
    ("options", "named"), [({"images": (2, 1)}, "images"), ({"k": 0}, r"attention\.k"), ({"budget": "x"}, "budget")]
)
def test_wrong_arguments_are_named(tmp_path, encoded, options, named):
    with pytest.raises(UsageError, match=named):
        AttentionTimes(context(tmp_path, encoded), **options)
