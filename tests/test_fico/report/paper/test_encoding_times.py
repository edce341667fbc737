"""Encoding times of the sizes of Table 5: measured ones as they are, others from a line fitted to them."""

from types import SimpleNamespace

import pytest

from fico.report.paper.encoding_times import EncodingTimes


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


def test_others_come_from_the_line_with_its_start():
    times = EncodingTimes.of([a_run([a_row(1_000, 3.0), a_row(10_000, 21.0), a_row(20_000, 41.0)])])
    found = times.at(1_000_000)
    assert not found.is_measured
    assert found.seconds == pytest.approx(2001.0)
    assert times.error == pytest.approx(0.0, abs=1e-9)
    assert times.images_per_second == pytest.approx(20_000 / 41)


def test_the_error_is_the_largest_relative_difference_of_a_measured_size():
    times = EncodingTimes.of([a_run([a_row(1_000, 2.0), a_row(10_000, 21.0), a_row(100_000, 200.0)])])
    line = [times.start + times.per_image * images for images in times.measured]
    wanted = max(abs(a / b.seconds - 1) for a, b in zip(line, times.measured.values(), strict=True))
    assert times.error == pytest.approx(wanted)
    assert 0.01 < times.error < 0.05


def test_a_single_size_gives_a_line_through_zero_without_an_error():
    times = EncodingTimes.of([a_run(None, seconds=2.0)])
    assert times.at(1_000).is_measured
    assert times.at(5_000).seconds == pytest.approx(10.0)
    assert times.error is None


def test_a_line_never_starts_below_zero():
    times = EncodingTimes.of([a_run([a_row(1_000, 1.0), a_row(10_000, 15.0)])])
    assert times.start == 0.0
    assert times.at(100).seconds > 0


def test_seeds_give_the_median_and_the_whole_range():
    runs = [a_run([a_row(1_000, seconds)]) for seconds in (2.0, 3.0, 7.0)]
    found = EncodingTimes.of(runs).at(1_000)
    assert (found.seconds, found.fastest, found.slowest) == pytest.approx((3.0, 1.9, 7.1))
