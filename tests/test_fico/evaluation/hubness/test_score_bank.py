"""Corrections against hubs of score matrices, from the scores of their items with a bank."""

import numpy as np
import pytest
import torch

from fico import Correspondence, evaluate, evaluate_scores
from fico.errors import DataError, UsageError
from fico.evaluation.evaluate import merge_results

IMAGES, TRAIN, K, ALPHA, TEMPERATURE = 24, 40, 5, 0.5, 0.3
OPTIONS = {"nnn_k": K, "nnn_alpha": ALPHA, "softmax_temperature": TEMPERATURE, "bootstrap": 50}


@pytest.fixture(scope="module")
def given():
    """Images, captions, those of the training split, and the image of each caption."""
    generator = np.random.default_rng(0)
    owners, taught = np.repeat(np.arange(IMAGES), 3), np.repeat(np.arange(TRAIN), 2)
    images, train_images = (generator.standard_normal((rows, 8)) for rows in (IMAGES, TRAIN))
    shift = 0.8 * generator.standard_normal(8)  # between the modalities, which makes hubs
    texts = images[owners] + shift + generator.standard_normal((len(owners), 8))
    train_texts = train_images[taught] + shift + generator.standard_normal((len(taught), 8))
    sides = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in (images, texts, train_images, train_texts)]
    return *sides, Correspondence(owners)


@pytest.fixture(scope="module")
def bank(given):
    images, texts, train_images, train_texts, _ = given
    return {
        "i2t": (train_images @ texts.T, train_texts @ texts.T),
        "t2i": (train_texts @ images.T, train_images @ images.T),
    }


def slow_bias(correction, queries, items):
    """The definition, an item at a time."""
    found = []
    for own, other in zip(queries.T, items.T, strict=True):
        if correction == "nnn":
            found.append(ALPHA * sum(sorted(own)[-K:]) / K)
        else:
            maxima = [TEMPERATURE * np.log(np.mean(np.exp(part / TEMPERATURE))) for part in (own, other)]
            found.append(sum(maxima) / 2)
    return np.array(found)


@pytest.mark.parametrize("engine", ["compiled", "torch"])
@pytest.mark.parametrize("correction", ["nnn", "dual_softmax"])
def test_corrected_scores_are_those_less_the_bias_of_a_plain_loop(given, bank, correction, engine, monkeypatch):
    monkeypatch.setattr("fico.evaluation.hubness.score_bank._BLOCK_SCORES", 7 * TRAIN)
    images, texts, *_, pairs = given
    scores = {"i2t": images @ texts.T, "t2i": texts @ images.T}
    kept = {way: matrix.copy() for way, matrix in scores.items()}
    options = {"correspondence": pairs, "engine": engine, "folds": 2, **OPTIONS}
    got = evaluate_scores(**scores, bank=bank, hubness_correction=correction, **options)
    plain = evaluate_scores(**scores, **options)
    by_hand = evaluate_scores(
        **{way: matrix - slow_bias(correction, *bank[way]) for way, matrix in scores.items()}, **options
    )
    assert {key: got.metrics[key] for key in plain.metrics} == plain.metrics
    corrected = {key: value for key, value in by_hand.metrics.items() if key.startswith("instance/")}
    found = {key.replace(f"{correction}/", "instance/"): v for key, v in got.metrics.items() if correction in key}
    assert found == pytest.approx(corrected)
    assert found["instance/i2t/R@1"] != plain.metrics["instance/i2t/R@1"]
    assert any(note.startswith(f"{correction} i2t: R@1 ") for note in got.notes)
    assert all((scores[way] == kept[way]).all() for way in scores)


@pytest.mark.parametrize("correction", ["nnn", "dual_softmax"])
def test_scores_are_corrected_as_their_embeddings_are(given, bank, correction):
    images, texts, *training, pairs = given
    options = {"hubness_correction": correction, **OPTIONS}
    by_rows = evaluate(images, texts, pairs, bank=tuple(training), similarity="inner", **options)
    by_scores = evaluate_scores(i2t=images @ texts.T, t2i=texts @ images.T, correspondence=pairs, bank=bank, **options)
    assert by_scores.metrics == pytest.approx(by_rows.metrics)


def test_shards_of_a_corrected_evaluation_make_the_whole(given, bank):
    images, texts, *_, pairs = given
    options = {"i2t": images @ texts.T, "t2i": None, "correspondence": pairs, "bank": bank, **OPTIONS}
    whole = evaluate_scores(hubness_correction="nnn", **options)
    parts = [evaluate_scores(hubness_correction="nnn", shard=(rank, 2), block=5, **options) for rank in (0, 1)]
    assert merge_results(parts).metrics == whole.metrics


@pytest.mark.parametrize("fill", [-100, -np.inf])
def test_what_a_re_ranking_did_not_score_stays_unscored(given, bank, fill):
    images, texts, *_, pairs = given
    scores = images @ texts.T
    scores[np.argsort(np.argsort(-scores, axis=1), axis=1) >= 6] = fill
    options = {"t2i": None, "correspondence": pairs, "bank": bank, "hubness_correction": "nnn", **OPTIONS}
    result = evaluate_scores(i2t=scores, **options)
    assert [f"nnn/i2t/R@{k}" in result.metrics for k in (5, 10)] == [True, False]


def test_the_second_bank_is_needed_by_dual_softmax_alone(given, bank):
    images, texts, *_, pairs = given
    first = {"i2t": torch.from_numpy(bank["i2t"][0]).float()}
    options = {"i2t": images @ texts.T, "t2i": None, "correspondence": pairs, **OPTIONS}
    assert "nnn/i2t/R@1" in evaluate_scores(bank=first, hubness_correction="nnn", **options).metrics
    with pytest.raises(UsageError, match="the bank of i2t has 1 score matrices; give a pair: .* bank_items x items"):
        evaluate_scores(bank=first, hubness_correction="dual_softmax", **options)


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"bank": None}, UsageError, "has no bank of i2t; give bank={'i2t': ...} with the scores of its items"),
        ({"bank": {"t2i": np.ones((9, IMAGES))}}, UsageError, "has no bank of i2t"),
        ({"bank": {"i2t": np.ones((9, IMAGES))}}, DataError, "i2t bank queries have scores of 24 items, and 72 are"),
        ({"bank": {"i2t": np.ones((4, 72))}}, UsageError, "nnn_k=5 neighbours are more than the 4 queries"),
        ({"bank": {"i2t": np.full((9, 72), np.nan)}}, DataError, "bank holds NaN or infinite scores, first in row 0"),
        ({"tasks": ("category",), "labels": np.eye(IMAGES) > 0}, UsageError, "is not among tasks; add instance"),
    ],
)
def test_a_bank_that_does_not_fit_is_refused(given, bank, change, error, sentence):
    images, texts, *_, pairs = given
    options = {"i2t": images @ texts.T, "t2i": None, "correspondence": pairs, "bank": bank, **OPTIONS, **change}
    with pytest.raises(error) as caught:
        evaluate_scores(hubness_correction="nnn", **options)
    assert sentence in str(caught.value)
