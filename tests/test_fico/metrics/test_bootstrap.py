"""Intervals: resampled by image, seeded, as wide as the statistics demand."""

import numpy as np
import pytest

from fico.evaluation.evaluate import evaluate, evaluate_scores
from fico.metrics import bootstrap
from fico.metrics.bootstrap import ClusteredValues, percentile_intervals, replicates
from fico.types import Correspondence


def sample(seed=0, images=40, queries=150, valid=1.0):
    generator = np.random.default_rng(seed)
    values = generator.random((queries, 3))
    values[:, 2] = generator.integers(1, 9, queries)
    return ClusteredValues(values, generator.random(queries) < valid, generator.integers(0, images, queries), (2,))


@pytest.mark.parametrize("kept_bytes", [bootstrap.RESAMPLING_BYTES, 4000])
def test_replicates_are_those_of_a_plain_loop(kept_bytes, monkeypatch):
    """Whether the counts of drawn images are few enough to be kept or not."""
    monkeypatch.setattr(bootstrap, "RESAMPLING_BYTES", kept_bytes)
    first, second = sample(1), sample(2, valid=0.7)
    (means, medians), (others, _) = replicates([first, second], 40, 30, (5,))
    draws = np.random.default_rng([5]).integers(0, 40, size=(30, 40), dtype=np.int32)
    for b in range(30):
        rows = np.concatenate([np.flatnonzero(first.images == image) for image in draws[b]])
        np.testing.assert_allclose(means[b], first.values[rows].mean(axis=0))
        assert medians[b, 0] == np.median(first.values[rows, 2])
        rows = np.concatenate([np.flatnonzero((second.images == image) & second.valid) for image in draws[b]])
        np.testing.assert_allclose(others[b], second.values[rows].mean(axis=0))


@pytest.mark.parametrize("each", [2, 3])
def test_the_median_of_an_even_resample_is_the_mean_of_the_middle_two(each):
    """7 images of 2 or 3 queries each give an even or an odd number; no value occurs twice."""
    ranks = np.random.default_rng(each).permutation(7 * each)[:, None] ** 2.0
    queries = ClusteredValues(ranks, np.ones(7 * each, dtype=bool), np.repeat(np.arange(7), each), (0,))
    ((_, medians),) = replicates([queries], 7, 50, (1,))
    draws = np.random.default_rng([1]).integers(0, 7, size=(50, 7), dtype=np.int32)
    wanted = [np.median(ranks.reshape(7, each)[drawn]) for drawn in draws]
    assert medians[:, 0].tolist() == wanted


def test_a_resample_without_any_query_has_no_value_and_no_weight():
    few = ClusteredValues(np.array([[1.0], [2.0]]), np.array([True, True]), np.array([0, 1]), (0,))
    ((means, medians),) = replicates([few], 30, 200, (0,))
    assert np.isnan(means).any()
    assert (np.isnan(means) == np.isnan(medians)).all()
    low, high = percentile_intervals(means)[0]
    assert 1 <= low <= high <= 2


def test_intervals_are_percentiles():
    draws = np.random.default_rng(0).standard_normal((501, 4))
    wanted = np.percentile(draws, (2.5, 97.5), axis=0).T
    np.testing.assert_allclose(percentile_intervals(draws), wanted)


def test_captions_of_one_image_are_drawn_together():
    """Five captions of an image with one and the same rank weigh like one: the interval is sqrt(5) times wider."""
    generator = np.random.default_rng(0)
    hit = generator.random(300) < 0.5
    together = ClusteredValues(
        np.repeat(hit, 5)[:, None].astype(float), np.ones(1500, bool), np.repeat(np.arange(300), 5)
    )
    alone = ClusteredValues(
        generator.permutation(np.repeat(hit, 5))[:, None].astype(float), together.valid, np.arange(1500)
    )
    wide, narrow = (
        np.diff(percentile_intervals(replicates([s], n, 1000, (0,))[0][0])[0]).item()
        for s, n in ((together, 300), (alone, 1500))
    )
    assert wide / narrow == pytest.approx(5**0.5, rel=0.15)


def test_intervals_hold_the_true_value_about_95_times_in_100():
    held = 0
    for seed in range(200):
        hits = (np.random.default_rng(seed).random((80, 1)) < 0.3).astype(float)
        draws = replicates([ClusteredValues(hits, np.ones(80, bool), np.arange(80))], 80, 300, (seed,))[0][0]
        low, high = percentile_intervals(draws)[0]
        held += low <= 0.3 <= high
    assert 180 <= held <= 199


def test_one_seed_gives_one_interval_and_another_seed_another():
    generator = np.random.default_rng(0)
    images, texts = generator.standard_normal((2, 30, 4))
    pairs = Correspondence(range(30))
    first, again, other = (evaluate(images, texts, pairs, bootstrap=100, seed=seed).intervals for seed in (1, 1, 2))
    assert first == again != other


def test_the_interval_of_a_perfect_run_is_a_point():
    scores = np.eye(20)
    result = evaluate_scores(i2t=scores, t2i=scores, correspondence=Correspondence(range(20)), bootstrap=50)
    assert result.intervals["instance/i2t/R@1"] == (1, 1)
    assert result.intervals["instance/t2i/MedR"] == (1, 1)
