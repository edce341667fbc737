"""The files of a run: what is written comes back, in that order, and what no metric can be is refused."""

import csv
import gzip
import io
import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest

from fico.errors import DataError, FicoError
from fico.evaluation.result import PerQuery, RetrievalResult
from fico.report.html.page import write_report
from fico.report.results import schema as results_module
from fico.report.results.collect import collect_metrics, query_tables
from fico.report.results.metric import Metric
from fico.report.results.per_query import QueryTable
from fico.report.results.schema import read_results, write_results
from fico.util.provenance import commit, hardware, versions

QUERIES = (
    QueryTable("i2t", ("img0", "img1"), np.array([1.0, np.nan]), {"10": np.array([0.5, np.nan])}),
    QueryTable("t2i", ("cap,0", 'cap"1"'), np.array([2.5, 7.0]), {"10": np.array([1 / 3, 0.0])}),
)


class TestFiles:
    def test_results_come_back_as_they_were_written(self, tmp_path, results):
        write_results(tmp_path, results, QUERIES)
        assert read_results(tmp_path) == results
        assert read_results(tmp_path / "results.json") == results

    def test_the_json_has_the_promised_keys(self, tmp_path, results):
        write_results(tmp_path, results)
        plain = json.loads((tmp_path / "results.json").read_text())
        assert (plain["schema_version"], plain["status"]) == (1, "finished")
        promised = "name seed started seconds commit model data metrics efficiency search versions hardware config"
        assert set(promised.split()) <= set(plain)
        assert set(plain["metrics"]["test/instance/i2t/R@1"]) == {"value", "low", "high", "queries", "definition"}
        assert plain["search"][1]["top1_in_k"] == {"1": 0.97, "10": 0.99}
        assert (plain["search"][1]["threads"], plain["search"][1]["direction"]) == (2, "t2i")

    def test_tie_bounds_stand_beside_the_value(self, tmp_path, results):
        untied = "test/instance/t2i/MedR"
        tied = {
            name: replace(m, pessimistic=14.0, optimistic=11.0)
            if "MedR" in name
            else replace(m, pessimistic=0.1, optimistic=0.2)
            for name, m in results.metrics.items()
            if name != untied
        }
        write_results(tmp_path, replace(results, metrics=tied | {untied: results.metrics[untied]}))
        plain = json.loads((tmp_path / "results.json").read_text())["metrics"]
        assert (plain["test/category/i2t/mAP@N"]["pessimistic"], plain["test/category/i2t/mAP@N"]["optimistic"]) == (
            0.1,
            0.2,
        )
        assert "pessimistic" not in plain["test/instance/t2i/MedR"]

    def test_the_csv_holds_the_metrics_of_the_json(self, tmp_path, results):
        write_results(tmp_path, results)
        rows = list(csv.DictReader(io.StringIO((tmp_path / "results.csv").read_text())))
        assert {row["metric"]: float(row["value"]) for row in rows} == {
            name: metric.value for name, metric in results.metrics.items()
        }

    def test_the_per_query_file_keeps_ids_ranks_and_gaps(self, tmp_path, results):
        write_results(tmp_path, results, QUERIES)
        with gzip.open(tmp_path / "per_query.csv.gz", "rt") as file:
            rows = list(csv.DictReader(file))
        assert [row["query"] for row in rows] == ["img0", "img1", "cap,0", 'cap"1"']
        assert [row["first_rank"] for row in rows] == ["1", "", "2.5", "7"]
        assert [row["AP@10"] for row in rows] == ["0.5", "", "0.333333333", "0"]

    def test_equal_runs_give_equal_files(self, tmp_path, results):
        for folder in ("a", "b"):
            write_results(tmp_path / folder, results, QUERIES)
            write_report(tmp_path / folder / "report.html", results)
        for name in ("results.json", "results.csv", "per_query.csv.gz", "report.html"):
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()

    @pytest.mark.parametrize("broken", ["_metrics_csv", "queries_csv"])
    def test_an_interrupted_write_leaves_no_results_not_even_the_old_ones(self, tmp_path, results, monkeypatch, broken):
        write_results(tmp_path, results, QUERIES)

        def interrupt(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(results_module, broken, interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_results(tmp_path, results, QUERIES)
        assert not (tmp_path / "results.json").exists()
        assert not list(tmp_path.glob(".*.part"))

    def test_the_json_comes_last(self, tmp_path, results, monkeypatch):
        order = []
        real = results_module.atomic_write
        monkeypatch.setattr(results_module, "atomic_write", lambda path: order.append(path.name) or real(path))
        write_results(tmp_path, results, QUERIES)
        assert order[-1] == "results.json"
        assert set(order) == {"results.json", "results.csv", "per_query.csv.gz"}

    def test_an_unfinished_run_has_no_results_to_read(self, tmp_path):
        with pytest.raises(DataError, match="last"):
            read_results(tmp_path)

    @pytest.mark.parametrize(
        "content", ["", "{", "[]", "3", '{"a": 1}', '{"schema_version": 7}', '{"schema_version": 1}']
    )
    def test_a_foreign_or_damaged_file_is_refused_by_name(self, tmp_path, content):
        path = tmp_path / "results.json"
        path.write_text(content)
        with pytest.raises(DataError, match=r"results\.json"):
            read_results(path)

    def test_a_config_that_is_no_json_is_refused_before_anything_is_written(self, tmp_path, results):
        with pytest.raises(FicoError, match="JSON"):
            write_results(tmp_path, replace(results, efficiency={"encode_seconds": math.nan}))
        assert list(tmp_path.iterdir()) == []


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("R@1", 1.01),
            ("R@1", -0.01),
            ("R@1", 50.0),
            ("mAP@N", math.nan),
            ("PR@0.5", math.inf),
            ("MedR", 0.5),
            ("MeanR", math.inf),
        ],
    )
    @pytest.mark.parametrize("part", ["value", "low", "high", "pessimistic", "optimistic"])
    def test_values_that_no_metric_has_are_refused_by_name(self, results, name, value, part):
        good = Metric(1.0, 1.0, 1.0, 3, "What it is.", unit="rank" if name in ("MedR", "MeanR") else "fraction")
        key = f"test/instance/i2t/{name}"
        with pytest.raises(FicoError, match=re.escape(f"{part} of {key}")):
            replace(results, metrics={key: replace(good, **{part: value})})

    def test_the_ends_of_the_range_are_values(self, results):
        ends = {
            "test/instance/i2t/R@1": Metric(1.0, 0.0, 1.0, 3, ""),
            "test/instance/i2t/MedR": Metric(1.0, 1.0, 9.0, 3, "", unit="rank", higher_is_better=False),
        }
        assert replace(results, metrics=ends).metrics == ends


class TestWithoutIntervals:
    @pytest.fixture
    def bare(self, results):
        return replace(results, metrics={name: replace(m, low=None, high=None) for name, m in results.metrics.items()})

    def test_they_come_back_and_are_no_keys(self, tmp_path, bare):
        write_results(tmp_path, bare)
        assert read_results(tmp_path) == bare
        metrics = json.loads((tmp_path / "results.json").read_text())["metrics"]
        assert not any({"low", "high"} & set(metric) for metric in metrics.values())
        header, first, *_ = list(csv.reader((tmp_path / "results.csv").open()))
        assert [first[header.index(end)] for end in ("low", "high")] == ["", ""]

    def test_the_page_is_written_without_band_and_scale(self, tmp_path, results, bare):
        write_report(tmp_path / "with.html", results)
        write_report(tmp_path / "without.html", bare)
        texts = [(tmp_path / name).read_text() for name in ("with.html", "without.html")]
        assert ['class="scale"' in text for text in texts] == [True, False]
        assert ["FillBetweenPolyCollection" in text for text in texts] == [True, False]

    def test_an_evaluation_without_resamples_has_none(self):
        key = "instance/i2t/R@1"
        result = RetrievalResult({key: 0.5}, {}, {key: 2}, {key: "def"}, {}, (), {})
        assert collect_metrics(result, "test") == {f"test/{key}": Metric(0.5, None, None, 2, "def")}


class TestCollect:
    def test_metrics_and_queries_of_an_evaluation_keep_names_and_ids(self):
        per_query = {
            "i2t": PerQuery(np.array([1, 0]), np.array([1, 0]), np.array([3.0, 1.0]), {"10": np.array([0.1, 0.2])}, {}),
            "t2i": PerQuery(np.array([2]), np.array([0]), np.array([4.0]), {}, {}),
        }
        key = "instance/i2t/R@1"
        result = RetrievalResult(
            {key: 0.5}, {key: (0.4, 0.6)}, {key: 2}, {key: "def"}, {key: (0.3, 0.7)}, (), per_query
        )
        assert collect_metrics(result, "test") == {f"test/{key}": Metric(0.5, 0.4, 0.6, 2, "def", 0.3, 0.7)}
        tables = query_tables(result, ("a", "b"), ("x", "y", "z"))
        assert [(t.direction, t.ids, t.first_ranks.tolist()) for t in tables] == [
            ("i2t", ("b", "a"), [3.0, 1.0]),
            ("t2i", ("z",), [4.0]),
        ]


class TestProvenance:
    def test_versions_and_machine_are_plain_json(self):
        json.dumps([versions(), hardware()])
        assert {"python", "numpy", "torch"} <= set(versions())
        assert hardware()["cores"] >= 1

    def test_the_commit_is_a_hash_or_unknown(self):
        assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", commit())
