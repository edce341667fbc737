"""Dual inverted softmax: the literal product of softmaxes, any index, and rows of their own in a result."""

import numpy as np
import pytest
import torch

from fico import Correspondence, ExactSearch, FaissSearch, evaluate, evaluate_scores
from fico.errors import DataError, UsageError
from fico.evaluation.hubness.dual_softmax import dual_softmax_bias, dual_softmax_rows

TEMPERATURE = 0.3


def sides(seed=0, images=24, dim=8, train=40):
    generator = np.random.default_rng(seed)
    owners, taught = np.repeat(np.arange(images), 3), np.repeat(np.arange(train), 2)
    shift = 0.8 * generator.standard_normal(dim)  # between the modalities, which makes hubs
    found = []
    for rows, members in ((images, owners), (train, taught)):
        side = generator.standard_normal((rows, dim))
        found += [side, side[members] + shift + generator.standard_normal((len(members), dim))]
    return [torch.nn.functional.normalize(torch.from_numpy(side).float(), dim=1) for side in found], owners


def literal(scores, query_bank_scores, item_bank_scores, beta=1 / TEMPERATURE):
    """The product of the paper, with its sums of exponentials."""
    exps = [np.exp(beta * part.double().numpy()) for part in (scores, query_bank_scores, item_bank_scores)]
    return exps[0] / exps[1].sum(0) * (exps[0] / exps[2].sum(0))


def problem(direction):
    """Scores of one direction, and of its items with both banks."""
    (images, texts, bank_images, bank_texts), _ = sides()
    if direction == "i2t":
        return images @ texts.T, bank_images @ texts.T, bank_texts @ texts.T
    return texts @ images.T, bank_texts @ images.T, bank_images @ images.T


@pytest.mark.parametrize("direction", ["i2t", "t2i"])
def test_scores_less_the_bias_rank_as_the_literal_product_of_softmaxes(direction):
    scores, *banks = problem(direction)
    corrected = scores.double() - dual_softmax_bias(*banks, temperature=TEMPERATURE)
    product = literal(scores, *banks)
    np.testing.assert_array_equal(np.argsort(-corrected.numpy()), np.argsort(-product))
    assert not np.array_equal(np.argsort(-scores.numpy()), np.argsort(-product))
    apart = 2 * corrected.numpy() / TEMPERATURE - np.log(product)  # a constant: banks of other sizes
    np.testing.assert_allclose(apart, np.log(len(banks[0]) * len(banks[1])))


def test_the_bias_goes_from_the_mean_score_to_the_highest():
    _, *banks = problem("i2t")
    for temperature, limit in ((1e15, lambda part: part.mean(0)), (1e-300, lambda part: part.amax(0))):
        wanted = sum(limit(part.double()) for part in banks) / 2
        torch.testing.assert_close(dual_softmax_bias(*banks, temperature=temperature), wanted)


def test_blocks_of_items_have_the_biases_of_the_whole(monkeypatch):
    (images, texts, *bank), _ = sides()
    options = {"similarity": "cosine", "temperature": TEMPERATURE}
    whole = dual_softmax_rows(images, texts, tuple(bank), **options)
    monkeypatch.setattr("fico.evaluation.hubness.dual_softmax._BLOCK_SCORES", 7 * 130)
    for part, wanted in zip(dual_softmax_rows(images, texts, tuple(bank), **options), whole, strict=True):
        torch.testing.assert_close(part, wanted)


@pytest.mark.parametrize("make", [lambda: ExactSearch("inner"), lambda: FaissSearch("Flat", "inner")])
@pytest.mark.parametrize("direction", ["i2t", "t2i"])
def test_any_index_of_inner_products_finds_what_the_product_ranks(direction, make):
    (images, texts, *bank), _ = sides()
    wide = dual_softmax_rows(3 * images, texts, tuple(bank), similarity="cosine", temperature=TEMPERATURE)
    queries, items = wide if direction == "i2t" else wide[::-1]
    index = make()
    index.add(items.numpy())
    product = literal(*problem(direction))
    np.testing.assert_array_equal(index.search(queries.numpy(), 6).indices, np.argsort(-product)[:, :6])


@pytest.mark.parametrize("engine", ["compiled", "torch"])
def test_corrected_metrics_are_rows_of_their_own_and_those_of_the_product(engine):
    (images, texts, *bank), owners = sides()
    pairs, options = Correspondence(owners), {"engine": engine, "bootstrap": 50}
    correction = {"bank": tuple(bank), "hubness_correction": "dual_softmax", "softmax_temperature": TEMPERATURE}
    plain, both = evaluate(images, texts, pairs, **options), evaluate(images, texts, pairs, **correction, **options)
    assert {name: both.metrics[name] for name in plain.metrics} == plain.metrics
    products = {direction: np.log(literal(*problem(direction))) for direction in ("i2t", "t2i")}
    wanted = evaluate_scores(**products, correspondence=pairs, **options)
    for name in ("i2t/R@1", "t2i/MedR", "t2i/MRR", "RSUM"):
        assert both.metrics[f"dual_softmax/{name}"] == wanted.metrics[f"instance/{name}"]
    assert "dual_softmax (temperature=0.3), bank" in both.definitions["dual_softmax/i2t/R@1"]
    assert any(note.startswith("dual_softmax i2t: R@1 ") and "paired" in note for note in both.notes)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"bank": None}, "hubness_correction='dual_softmax' needs bank="),
        ({"similarity": "euclidean"}, "cosine or inner"),
        ({"softmax_temperature": 0}, "softmax_temperature=0 must be a positive number"),
        ({"hubness_correction": "softmax"}, "one of nnn, dual_softmax, or None"),
    ],
)
def test_what_cannot_be_corrected_is_one_sentence(changed, sentence):
    (images, texts, *bank), owners = sides()
    options = {"bank": tuple(bank), "hubness_correction": "dual_softmax", "bootstrap": 0, **changed}
    with pytest.raises(UsageError, match=sentence):
        evaluate(images, texts, Correspondence(owners), **options)


@pytest.mark.parametrize(
    ("shapes", "temperature", "error", "sentence"),
    [
        (((3, 4), (2, 4)), 0.0, UsageError, "must be a positive number"),
        (((3, 4), (0, 4)), 0.1, DataError, "the bank has no items"),
        (((3, 4), (2, 5)), 0.1, DataError, "scores of 4 and 5 items"),
    ],
)
def test_banks_that_give_no_bias_are_one_sentence(shapes, temperature, error, sentence):
    with pytest.raises(error, match=sentence):
        dual_softmax_bias(*(torch.zeros(shape) for shape in shapes), temperature=temperature)
