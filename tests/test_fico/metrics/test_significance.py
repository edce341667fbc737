"""Paired tests against SciPy and against enumeration."""

import numpy as np
import pytest
from scipy import stats

from fico.errors import DataError
from fico.metrics.significance import paired_t_test, sign_flip_test


def runs(n, shift=0.1, seed=0):
    generator = np.random.default_rng(seed)
    first = generator.random(n)
    return first + shift + 0.3 * generator.standard_normal(n), first


def test_the_t_test_is_that_of_scipy():
    first, second = runs(50)
    wanted, got = stats.ttest_rel(first, second), paired_t_test(first, second)
    assert (got.statistic, got.p) == pytest.approx((wanted.statistic, wanted.pvalue))
    assert got.difference == pytest.approx((first - second).mean())


def test_sign_flips_of_few_queries_are_exact_and_of_many_agree_with_scipy():
    first, second = runs(10)
    exact = stats.permutation_test(
        (first, second), lambda x, y, axis: (x - y).mean(axis=axis), permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip_test(first, second).p == pytest.approx(exact.pvalue)
    first, second = runs(400, shift=0.02)
    assert sign_flip_test(first, second).p == pytest.approx(paired_t_test(first, second).p, abs=0.02)
    assert sign_flip_test(first, second, seed=1) == sign_flip_test(first, second, seed=1)


def test_sign_flips_of_25000_queries_take_less_than_a_second_and_are_never_zero():
    first, second = runs(25_000, shift=0.5)
    assert sign_flip_test(first, second, resamples=1000).p == 1 / 1001


def test_equal_runs_do_not_differ():
    first, _ = runs(30)
    for test in (paired_t_test, sign_flip_test):
        assert test(first, first).p == 1
        assert test(first, first).difference == 0


def test_captions_of_one_image_count_as_one_difference():
    first, second = runs(20)
    repeated = [np.repeat(run, 5) for run in (first, second)]
    clusters = np.repeat(np.arange(20), 5)
    for test in (paired_t_test, sign_flip_test):
        assert test(*repeated, clusters).p == pytest.approx(test(first, second).p)
        assert test(*repeated).p < test(first, second).p


def test_images_with_many_captions_weigh_no_more_than_others():
    first, second = runs(90)
    clusters = np.random.default_rng(2).permutation(np.repeat(np.arange(20), np.r_[np.ones(10, int), np.full(10, 8)]))
    means = [np.array([run[clusters == image].mean() for image in range(20)]) for run in (first, second)]
    for test in (paired_t_test, sign_flip_test):
        got, wanted = test(first, second, clusters), test(*means)
        assert got.p == pytest.approx(wanted.p)
        assert got.difference == pytest.approx(wanted.difference)


def test_queries_left_out_of_both_runs_are_left_out_and_of_one_refused():
    first, second = runs(20)
    holed = [np.append(run, np.nan) for run in (first, second)]
    assert paired_t_test(*holed) == paired_t_test(first, second)
    with pytest.raises(DataError, match="query 20"):
        paired_t_test(holed[0], np.append(second, 0.5))
    with pytest.raises(DataError, match="same queries"):
        paired_t_test(first, second[1:])
    with pytest.raises(DataError, match="at least 2"):
        sign_flip_test(first[:1], second[:1])
