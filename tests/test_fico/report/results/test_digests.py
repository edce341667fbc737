"""Results and values per query that were edited are refused by every reader; those of version 0.1 get a note."""

import gzip
import json
from dataclasses import replace

import numpy as np
import pytest

from fico.errors import DataError
from fico.report.compare.paired import QueryValues
from fico.report.results.metric import Metric
from fico.report.results.per_query import QUERIES, QueryTable, read_queries
from fico.report.results.runs import FinishedRun, find_runs
from fico.report.results.schema import UNSEALED, read_results, write_results
from fico.util.digests.digest import sealed

TABLE = QueryTable("i2t", ("a", "b", "c"), np.array([1.0, 2.5, 4.0]), {"10": np.array([1.0, 0.5, 0.25])})
KEY = "test/instance/i2t/R@1"


def edit(folder, change, *, is_sealed=False):
    """Change the JSON object of a run's results by hand, or as a writer would."""
    path = folder / "results.json"
    plain = json.loads(path.read_text())
    change(plain)
    path.write_text(json.dumps(sealed(plain) if is_sealed else plain))


def set_metric(name, value):
    return lambda plain: plain["metrics"][KEY].__setitem__(name, value)


EDITS = {
    "a value": set_metric("value", 0.2),
    "an interval": set_metric("high", 0.9),
    "a count": set_metric("queries", 501),
    "a definition": set_metric("definition", "Something else."),
    "a note": lambda plain: plain.update(notes=[]),
    "the seed": lambda plain: plain.update(seed=7),
    "the digest of a file": lambda plain: plain["files"].update({QUERIES: "0" * 64}),
    "a metric left out": lambda plain: plain["metrics"].pop(KEY),
}


@pytest.mark.parametrize("change", EDITS)
def test_edited_results_are_refused_and_left_out_of_reports(tmp_path, results, change):
    write_results(tmp_path / "edited", results, (TABLE,))
    write_results(tmp_path / "whole", replace(results, seed=1), (TABLE,))
    edit(tmp_path / "edited", EDITS[change])
    with pytest.raises(DataError, match=r"results\.json was changed since it was written"):
        read_results(tmp_path / "edited")
    found = find_runs([tmp_path])
    assert [run.folder.name for run in found.runs] == ["whole"]
    assert "was changed" in dict(found.left_out)[(tmp_path / "edited").resolve()]


def test_another_layout_of_the_same_results_is_no_change(tmp_path, results):
    write_results(tmp_path, results)
    edit(tmp_path, lambda plain: None)  # without the indentation
    assert read_results(tmp_path) == results


def test_results_without_digest_are_refused_unless_version_0_1_wrote_them(tmp_path, results):
    write_results(tmp_path, results)
    edit(tmp_path, lambda plain: plain.pop("digest"))
    assert read_results(tmp_path).notes == (*results.notes, UNSEALED)
    write_results(tmp_path, replace(results, versions={"fico": "0.2.0"}))
    edit(tmp_path, lambda plain: plain.pop("digest"))
    with pytest.raises(DataError, match=r"no digest, though version 0\.2\.0 writes one"):
        read_results(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (set_metric("value", 1.5), "a fraction from 0 to 1"),
        (set_metric("value", "0.5"), "a fraction from 0 to 1"),
        (set_metric("value", True), "a fraction from 0 to 1"),
        (set_metric("low", 0.5), "lower end first"),
        (set_metric("queries", 2.5), "a count"),
        (set_metric("queries", -1), "a count"),
        (set_metric("unit", "metres"), "the unit of"),
        (set_metric("value", None), "damaged"),
        (lambda plain: plain.update(status="running"), "'finished'"),
        (lambda plain: plain.update(metrics=[]), "damaged"),
        (lambda plain: plain.update(model=None), "damaged"),
        (lambda plain: plain.update(search=[{}]), "damaged"),
    ],
)
def test_types_and_ranges_are_checked_where_there_is_no_digest_to_tell(tmp_path, results, change, words):
    write_results(tmp_path, results)
    edit(tmp_path, change, is_sealed=True)
    with pytest.raises(DataError, match=rf"results\.json is damaged.*{words}|results\.json is {words}"):
        read_results(tmp_path)


def test_edited_values_per_query_are_refused_where_runs_are_compared(tmp_path, results):
    write_results(tmp_path, results, (TABLE,))
    run = FinishedRun(tmp_path, read_results(tmp_path))
    QueryValues([run])
    path = tmp_path / QUERIES
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b"2.5", b"1.5"), mtime=0))
    with pytest.raises(DataError, match=r"per_query\.csv\.gz was changed"):
        QueryValues([run])
    read_queries(path)  # of version 0.1 no digest is known


@pytest.mark.parametrize(("old", "new"), [("2.5", "0.5"), ("0.25", "1.25"), ("2.5", "inf"), ("0.5", "-0.5")])
def test_values_that_no_query_has_are_refused_without_a_digest(tmp_path, results, old, new):
    write_results(tmp_path, results, (TABLE,))
    path = tmp_path / QUERIES
    text = gzip.decompress(path.read_bytes()).decode()
    assert f",{old}," in text
    path.write_bytes(gzip.compress(text.replace(f",{old},", f",{new},").encode()))
    with pytest.raises(DataError, match=r"(first_rank|AP@10) holds a value outside"):
        read_queries(path)


def test_a_count_may_be_written_as_a_float(results):
    assert replace(results, metrics={KEY: Metric(0.5, 0.4, 0.6, 500.0, "")}).metrics[KEY].queries == 500
