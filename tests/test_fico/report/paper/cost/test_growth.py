"""Laws of what measured sizes say of others."""

import math

import numpy as np
import pytest

from fico.report.paper.cost.growth import Growth, fitted_exponent


def measured(draw):
    """One to five sizes whose seconds grow, by anything between a bit and the square."""
    sizes = np.unique(draw.integers(1, 10**6, draw.integers(1, 6)))
    return {int(n): float(draw.uniform(0.5, 2)) * 1e-3 * n ** draw.uniform(0.5, 2) for n in sizes}


def test_what_grows_in_proportion_is_given_exactly_at_every_size():
    growth = Growth({n: 3e-4 * n for n in (250, 1_000, 7_000)})
    for work in (1, 250, 600, 1_000, 5_000, 7_000, 10**9):
        assert growth.at(work) == pytest.approx(3e-4 * work)
    assert growth.error == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("seed", range(50))
def test_no_time_is_below_what_the_highest_measured_rate_says(seed):
    draw = np.random.default_rng(seed)
    seconds = measured(draw)
    growth, best = Growth(seconds), max(n / time for n, time in seconds.items())
    for work in [*10 ** draw.uniform(0, 9, 50), *seconds]:
        assert growth.at(work) >= work / best * (1 - 1e-9)


@pytest.mark.parametrize("seed", range(50))
def test_a_larger_size_has_the_rate_of_the_largest_and_a_measured_one_its_own_time(seed):
    seconds = measured(np.random.default_rng(seed))
    growth, largest = Growth(seconds), max(seconds)
    assert growth.at(1_000 * largest) == pytest.approx(1_000 * seconds[largest])
    assert [growth.at(n) for n in seconds] == list(seconds.values())


def test_between_two_sizes_the_time_is_on_the_line_through_both():
    assert Growth({1_000: 3.0, 3_000: 5.0}).at(2_000) == pytest.approx(4.0)


def test_the_error_is_how_far_the_largest_is_from_the_rate_of_the_size_before_it():
    assert Growth({1_000: 2.0, 10_000: 25.0}).error == pytest.approx(20 / 25 - 1)
    assert Growth({1_000: 9.9, 2_000: 4.0, 10_000: 10.0}).error == pytest.approx(1.0)
    assert Growth({1_000: 2.0}).error is None
    assert Growth({1_000: 2.0, 2_000: 0.0}).error is None


@pytest.mark.parametrize("power", [0.5, 1.0, 1.8, 2.0])
def test_the_exponent_of_exact_data_is_exact(power):
    counts = [250, 500, 1_000]
    assert fitted_exponent(counts, [3e-6 * n**power for n in counts]) == pytest.approx(power)
    assert math.isnan(fitted_exponent([250, 250], [1.0, 2.0]))
