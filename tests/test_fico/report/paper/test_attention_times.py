"""Attention at the paper's sizes: measured ones as they are, others from a line over the pairs that are scored."""

from types import SimpleNamespace

import pytest

from fico.report.paper.attention_times import AttentionTimes, attention_sizes_table
from fico.report.results.schema import ModelInfo


def rows(rule, per_pair, sizes, k=None, start=0.0):
    found = []
    for images in sizes:
        own = None if k is None else k if rule == "fixed" else k * images // 1000
        pairs = 5 * images * images if own is None else 6 * images * own
        found.append({"images": images, "captions": 5 * images, "rule": rule, "k": own, "pairs": pairs,
                      "seconds": start + per_pair * pairs, "cpu_seconds": 2 * per_pair * pairs})  # fmt: skip
    return found


def test_all_pairs_grow_with_the_square_and_fixed_candidates_do_not():
    every = AttentionTimes.of(rows("all", 1e-6, (500, 1000)))
    assert every.at(1000).is_measured
    assert every.at(1000).seconds == pytest.approx(5.0)
    assert (every.at(100_000).seconds, every.at(100_000).is_measured) == (pytest.approx(5e4), False)
    fixed = AttentionTimes.of(rows("fixed", 1e-3, (500, 1000), k=128))
    assert fixed.at(100_000).seconds == pytest.approx(1e-3 * 6 * 128 * 100_000)
    scaled = AttentionTimes.of(rows("scaled", 1e-3, (500, 1000), k=128))
    assert scaled.k == 128
    assert scaled.at(100_000).seconds == pytest.approx(1e-3 * 6 * 12_800 * 100_000)


def test_the_error_is_that_of_the_line_and_a_single_size_has_none():
    found = rows("all", 1e-6, (500, 1000))
    found[1]["seconds"] *= 1.2
    times = AttentionTimes.of(found)
    assert 0.05 < times.error < 0.2
    assert AttentionTimes.of(found[:1]).error is None


@pytest.mark.parametrize(("size", "kinds"), [("paper", ["run", "paper"]), ("tiny", ["run"])])
def test_the_table_has_the_papers_row_below_a_model_of_the_papers_size(size, kinds):
    model = ModelInfo(
        name="scan", family="fine", size=size, dim=64, bits=None, dtype="float32", query_time_attention=True
    )
    hardware = {"processor": "p", "cores": 2, "gpu": None}
    run = SimpleNamespace(model=model, efficiency={"attention": rows("all", 1e-6, (500, 1000))}, hardware=hardware)
    table = attention_sizes_table([run])
    assert [row.kind for row in table.rows] == kinds
    assert [cell.text for cell in table.rows[0].cells[2:9]] == [
        "all pairs", "5.00 s", "~500.00 s", "~833.3 min", "1.00", "2.00", "2.00",
    ]  # fmt: skip
    if size == "paper":
        assert table.rows[1].cells[3].text == "17.51 s"
    assert attention_sizes_table([SimpleNamespace(efficiency={})]) is None
