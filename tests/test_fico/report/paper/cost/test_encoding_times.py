"""Encoding times of the sizes of Table 5: measured ones as they are, others at the rate of the largest."""

from types import SimpleNamespace

import pytest

from fico.report.paper.cost.encoding_times import EncodingTimes


def a_run(rows, images=1000, seconds=2.0):
    return SimpleNamespace(
        efficiency={"encode_seconds": seconds, "encoding": rows}, data=SimpleNamespace(images=images)
    )


def a_row(images, seconds, spread=0.1):
    return {
        "images": images, "seconds": seconds, "repeats": 3,
        "fastest_seconds": seconds - spread, "slowest_seconds": seconds + spread,
    }  # fmt: skip


def test_measured_sizes_stay_as_measured():
    times = EncodingTimes.of([a_run([a_row(1_000, 3.0), a_row(10_000, 21.0)])])
    found = times.at(10_000)
    assert (found.seconds, found.is_measured) == (21.0, True)
    assert (found.fastest, found.slowest) == pytest.approx((20.9, 21.1))


def test_a_larger_size_takes_what_the_items_per_second_of_the_table_say():
    times = EncodingTimes.of([a_run([a_row(1_000, 3.0), a_row(10_000, 21.0), a_row(20_000, 41.0)])])
    found = times.at(1_000_000)
    assert not found.is_measured
    assert found.seconds == pytest.approx(2050.0)
    assert times.images_per_second == pytest.approx(20_000 / 41)
    assert found.seconds == pytest.approx(1_000_000 / times.images_per_second)
    assert times.error == pytest.approx(42 / 41 - 1)


def test_a_small_size_that_took_no_time_makes_no_larger_one_faster():
    times = EncodingTimes.of([a_run([a_row(1_000, 0.0514), a_row(10_000, 1.73)])])
    assert times.at(1_000_000).seconds == pytest.approx(173.0)
    assert times.error == pytest.approx(0.514 / 1.73 - 1)


def test_a_single_size_gives_others_in_proportion_and_no_error():
    times = EncodingTimes.of([a_run(None, seconds=2.0)])
    assert times.at(1_000).is_measured
    assert times.at(5_000).seconds == pytest.approx(10.0)
    assert times.error is None


def test_seeds_give_the_median_and_the_whole_range():
    runs = [a_run([a_row(1_000, seconds)]) for seconds in (2.0, 3.0, 7.0)]
    found = EncodingTimes.of(runs).at(1_000)
    assert (found.seconds, found.fastest, found.slowest) == pytest.approx((3.0, 1.9, 7.1))


def test_seeds_without_further_sizes_count_beside_those_that_have_them():
    found = EncodingTimes.of([a_run([a_row(1_000, 2.0), a_row(10_000, 20.0)]), a_run(None, seconds=4.0)])
    assert found.at(1_000).seconds == pytest.approx(3.0)
    assert found.at(10_000).seconds == 20.0
