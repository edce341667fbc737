"""Hubness against a slow second version: exact under ties, the same on both engines, folds and processes."""

from fractions import Fraction

import numpy as np
import pytest
import torch

import fico
from fico import Correspondence, evaluate, evaluate_scores
from fico.evaluation.evaluate import merge_results
from fico.metrics.hubness import UNIT, Hubness

ENGINES = ("compiled", "torch")
K = 10


def slow(scores):
    """Expected number of rows that have each column among their first k, by counting alone."""
    counts = [Fraction(0)] * scores.shape[1]
    k = min(K, scores.shape[1])
    for row in scores:
        for item, score in enumerate(row):
            above, tied = int((row > score).sum()), int((row == score).sum())
            counts[item] += Fraction(min(max(k - above, 0), tied), tied)
    return np.array([float(count) for count in counts])


def tied_problem(seed, images=23, levels=4):
    """Scores of a few levels, so that most cut-offs lie in a tied block; images without captions too."""
    generator = np.random.default_rng(seed)
    owners = generator.permutation(np.repeat(np.arange(images), generator.integers(0, 6, images)))
    return owners, generator.integers(-levels, 2, (images, len(owners))).astype(np.float32)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("levels", [1, 4, 60])
def test_occurrences_are_the_exact_mean_over_all_orders_of_tied_items(engine, levels):
    owners, scores = tied_problem(levels, levels=levels)
    result = evaluate_scores(
        i2t=scores, t2i=scores.T, correspondence=Correspondence(owners), engine=engine, bootstrap=0
    )
    for direction, matrix in (("i2t", scores), ("t2i", scores.T)):
        found = result.hubness[direction].occurrences
        np.testing.assert_allclose(found, slow(matrix), atol=len(matrix) / UNIT)
        assert found.sum() == pytest.approx(K * len(matrix))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_with_labels_the_sorted_keys_tell_the_same_as_a_search(dtype):
    """Scores of both signs, zeros, minus infinity, and a row whose small scores a common power of two would tie."""
    owners, scores = tied_problem(7, levels=6)
    scores = scores.astype(dtype)
    scores[3] *= 1e-30
    scores[3, 5] = 1e30
    scores[4, :-4] = -np.inf
    options = {"correspondence": Correspondence(owners), "engine": "compiled", "bootstrap": 0}
    labels = np.random.default_rng(0).random((len(scores), 4)) < 0.4
    result = evaluate_scores(i2t=scores, t2i=scores.T, labels=labels, **options)
    for direction, matrix in (("i2t", scores), ("t2i", scores.T)):
        np.testing.assert_allclose(result.hubness[direction].occurrences, slow(matrix), atol=len(matrix) / UNIT)


@pytest.mark.parametrize("engine", ENGINES)
def test_codes_are_those_of_their_scores(engine):
    generator = np.random.default_rng(0)
    images, texts = (generator.choice([-1, 1], (rows, 12)).astype(np.int8) for rows in (40, 90))
    owners = np.arange(90) % 40
    result = evaluate(images, texts, Correspondence(owners), similarity="hamming", engine=engine, bootstrap=0)
    scores = images.astype(int) @ texts.T.astype(int)
    np.testing.assert_allclose(result.hubness["i2t"].occurrences, slow(scores), atol=1e-7)
    np.testing.assert_allclose(result.hubness["t2i"].occurrences, slow(scores.T), atol=1e-7)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_long_row_is_found_in_any_order_of_its_scores(engine):
    generator = np.random.default_rng(1)
    rows = [generator.standard_normal(700), np.arange(700), -np.arange(700), generator.integers(0, 70, 700)]
    scores = np.stack(rows).astype(np.float32)
    result = evaluate_scores(
        i2t=scores, t2i=None, correspondence=Correspondence(np.arange(700) % 4), engine=engine, bootstrap=0
    )
    np.testing.assert_allclose(result.hubness["i2t"].occurrences, slow(scores), atol=1e-7)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_collapsed_model_has_no_hubs(engine):
    result = evaluate_scores(
        i2t=np.zeros((7, 14)), t2i=None, correspondence=Correspondence(np.arange(14) % 7), engine=engine, bootstrap=0
    )
    assert result.hubness["i2t"].values() == {"skew_at_10": 0, "never_found": 0, "robin_hood": 0}


def test_a_gallery_below_the_cut_off_is_found_whole():
    result = evaluate_scores(i2t=np.eye(4), t2i=np.eye(4), correspondence=Correspondence(range(4)), bootstrap=0)
    assert result.hubness["t2i"].occurrences.tolist() == [4, 4, 4, 4]
    assert result.hubness["t2i"].k == 4


def test_statistics_of_one_hub_are_those_of_its_formulas():
    found = Hubness.of(np.array([6.0, 2, 0, 0]), np.arange(4), 2)
    apart = np.array([4, 0, -2, -2])
    assert found.skew == pytest.approx((apart**3).mean() / (apart**2).mean() ** 1.5)
    assert found.never_found == 0.5
    assert found.robin_hood == pytest.approx(4 / 8)  # four occurrences of the hub go to the two that have none
    assert found.hubs(3).tolist() == [0, 1, 2]


def embedded(seed=3, images=31, dim=6):
    generator = np.random.default_rng(seed)
    owners = generator.permutation(np.repeat(np.arange(images), generator.integers(1, 5, images)))
    rows = generator.standard_normal((images, dim)).astype(np.float32)
    return rows, rows[owners] + generator.standard_normal((len(owners), dim)).astype(np.float32), owners


@pytest.mark.parametrize("engine", ENGINES)
def test_shards_joined_and_blocks_of_any_size_are_the_whole_to_the_last_bit(engine):
    images, texts, owners = embedded()
    options = {"bootstrap": 0, "engine": engine}
    whole = evaluate(images, texts, Correspondence(owners), **options)
    shards = [evaluate(images, texts, Correspondence(owners), block=4, shard=(rank, 3), **options) for rank in range(3)]
    joined = merge_results(shards)
    for direction in ("i2t", "t2i"):
        np.testing.assert_array_equal(joined.hubness[direction].occurrences, whole.hubness[direction].occurrences)
        assert joined.hubness[direction].values() == whole.hubness[direction].values()


def test_folds_are_galleries_of_their_own_and_their_statistics_are_averaged():
    images, texts, owners = embedded(4)
    found = evaluate(images, texts, Correspondence(owners), folds=2, bootstrap=0).hubness["i2t"]
    parts = []
    for first, last in ((0, 15), (15, 31)):
        rows = np.flatnonzero((owners >= first) & (owners < last))
        part = evaluate(images[first:last], texts[rows], Correspondence(owners[rows] - first), bootstrap=0)
        parts.append((rows, part.hubness["i2t"]))
    assert found.skew == pytest.approx(np.mean([part.skew for _, part in parts]))
    assert found.never_found == pytest.approx(np.mean([part.never_found for _, part in parts]))
    np.testing.assert_array_equal(found.rows, np.concatenate([rows for rows, _ in parts]))
    np.testing.assert_array_equal(found.occurrences, np.concatenate([part.occurrences for _, part in parts]))


@pytest.mark.parametrize("scored", [5, 20])
def test_a_re_ranking_of_fewer_items_than_the_cut_off_has_no_hubness(scored):
    scores = np.full((40, 80), -100, dtype=np.float32)
    for row in scores:
        row[np.random.default_rng(0).permutation(80)[:scored]] = 1
    result = evaluate_scores(i2t=scores, t2i=None, correspondence=Correspondence(np.arange(80) % 40), bootstrap=0)
    assert ("i2t" in result.hubness) == (scored >= K)


def test_the_torchmetrics_object_and_the_printed_table_have_it():
    images, texts, owners = embedded(5)
    metric = fico.RetrievalMetrics(Correspondence(owners), bootstrap=0)
    rows = [torch.from_numpy(side) for side in (images, texts)]
    metric.update(fico.EncodedBatch(rows[0], torch.arange(len(images)), rows[1], torch.arange(len(texts))))
    result = metric.compute()
    wanted = evaluate(images, texts, Correspondence(owners), bootstrap=0)
    assert result.hubness["t2i"].values() == wanted.hubness["t2i"].values()
    assert "hubness t2i: skew of N_10" in str(result)
