"""Hubness in the table of a run and on its page."""

from dataclasses import replace

import numpy as np
import pytest

from fico.metrics.hubness import Hubness
from fico.report.html.hubs import items_of, shown_hubs
from fico.report.html.page import write_report
from fico.report.results.schema import Results, read_results, write_results
from fico.report.run_summary.summary import tables


@pytest.fixture
def hubness():
    captions = np.array([0, 0, 0.5, 1, 2, 30, *[1] * 12])
    images = np.array([12.0, 3, 3, 3, 3, 3, 3, 3, 12.5])
    return {"i2t": Hubness.of(captions, np.arange(18), 10), "t2i": Hubness.of(images, np.arange(9), 10)}


@pytest.fixture
def measured(results, hubness):
    return replace(results, hubness={way: of.values() for way, of in hubness.items()})


def test_every_item_is_in_one_bar_and_the_most_frequent_come_first(hubness, split):
    captions, images = shown_hubs(hubness, items_of(split))
    assert [(bar.name, bar.items) for bar in captions.bars] == [
        ("0", 2), ("to 1", 14), ("to 2", 1), ("to 5", 0), ("to 10", 0), ("to 20", 0), ("to 50", 1)
    ]  # fmt: skip
    assert captions.hubs[0] == (items_of(split)("text", 5), 30)
    assert [item.item_id for item, _ in images.hubs[:2]] == ["image8", "image0"]


def test_the_page_shows_statistics_hubs_and_their_counts(tmp_path, measured, hubness, split):
    write_report(tmp_path / "report.html", measured, (), shown_hubs(hubness, items_of(split)))
    page = (tmp_path / "report.html").read_text()
    assert "<h2>Hubness</h2>" in page
    assert f"{hubness['i2t'].skew:.2f}" in page
    assert "30 queries" in page
    assert "data:image/jpeg" in page


def test_results_keep_the_statistics_and_old_ones_have_none(tmp_path, measured, results):
    write_results(tmp_path, measured)
    assert read_results(tmp_path).hubness == measured.hubness
    old = {name: value for name, value in results.as_json().items() if name != "hubness"}
    assert Results.from_json(old).hubness == {}


def test_the_printed_table_has_both_directions(measured, results):
    table = next(table for table in tables(measured) if table.key == "hubness")
    assert [row.texts[0] for row in table.rows] == ["skew of N_10", "never found, %", "Robin Hood index, %"]
    assert table.rows[1].texts[1:] == ("11.11", "0.00")
    assert all(table.key != "hubness" for table in tables(results))
