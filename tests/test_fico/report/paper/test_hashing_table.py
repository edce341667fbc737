"""Runs under the hashing protocol beside published numbers."""

import pytest

from fico.report.paper.hashing_table import hashing_table
from fico.report.paper.published_hashing import BITS, PUBLISHED
from fico.report.results.metric import Metric
from fico.report.results.protocol import Protocol
from fico.report.results.schema import DataInfo, ModelInfo, Results


def run(bits=64, data="mirflickr(hashing)", names=("mAP@all", "mAP@N")):
    metrics = {
        f"test/category/{way}/{name}": Metric(0.5, 0.4, 0.6, 9, f"{name} is; ties: index; 9 queries")
        for way in ("i2t", "t2i")
        for name in names
    }
    return Results(
        name="r", seed=0, started="2026-01-01T00:00:00+00:00", seconds=1, commit="c",
        model=ModelInfo("ucch", "coarse", "tiny", bits, bits, "bits"),
        data=DataInfo(data, "test", 100, 100, 24, "ab" * 32), metrics=metrics, hubness={}, efficiency={}, search=(),
        versions={}, hardware={}, config={},
    )  # fmt: skip


def table(*runs):
    return hashing_table(Protocol.of(runs[0]), runs, "key")


def test_ours_stand_before_the_published_of_the_same_data_and_bits():
    rows = [row.texts for row in table(run()).rows]
    assert [row[3] for row in rows[:2]] == ["mAP@all", "mAP@N"]
    assert ("UCCH", "64", "UCCH", "mAP@all", "75.4", "74.3") in rows
    assert ("DCMH", "64", "spread", "mAP@all", "74.5–74.9", "78.0–79.3") in rows
    assert ("DJSRH", "64", "spread", "mAP@all, mAP@50", "70.0–86.2", "68.3–83.5") in rows
    assert {row[1] for row in rows} == {"64"}


def test_each_code_length_has_its_own_rows_and_what_is_not_known_stays_open():
    rows = [row.texts for row in table(run(16), run(128)).rows]
    assert ("DCMH", "128", "DCMH", "mAP@all", "–", "–") in rows
    assert {row[1] for row in rows} == {"16", "128"}


@pytest.mark.parametrize("other", [run(data="mirflickr"), run(data="shapes(hashing)"), run(bits=24)])
def test_other_data_splits_and_code_lengths_have_no_table(other):
    assert table(other) is None


def test_every_published_number_is_a_fraction_by_code_length():
    for each in (each for several in PUBLISHED.values() for each in several):
        assert len(each.i2t) == len(each.t2i) == len(BITS)
        assert all(value is None or 0.3 < value < 0.95 for value in (*each.i2t, *each.t2i))
