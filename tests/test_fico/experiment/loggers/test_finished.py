"""What W&B holds of a finished run, read from its offline file: few keys, tables, curves, samples, files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fico.evaluation.result import RadiusCurve
from fico.experiment.loggers.finished import log_finished, main_intervals
from fico.experiment.loggers.open import open_loggers
from fico.report.html.samples import Hit, Item, QuerySample
from fico.report.results.schema import read_results
from tests.configs import composed
from tests.wandb_file import read_offline_run

ROOT = Path(__file__).resolve().parents[4]
RUN = {
    "name": "run", "group": "sweep", "job_type": "fit+test", "tags": ["fine"], "config": {"seed": 0},
    "left_out": ["PR@*", "MeanR", "search/i2t/*"], "lower_is_better": ["MedR", "MeanR"],
}  # fmt: skip
CURVE = RadiusCurve(np.arange(3), np.array([1.0, 0.5, 0.25]), np.array([0.1, 0.5, 1.0]))
EPOCH = {
    "train/loss": 2.0, "epoch": 0.0, "val/instance/RSUM": 1.0, "val/mine/x": 3.0, "val/hubness/i2t/skew_at_10": 1.0,
    **{f"val/instance/{way}/R@1": 0.5 for way in ("i2t", "t2i", "mean")},
    **{f"val/instance/{way}/MedR": 5.0 for way in ("i2t", "t2i", "mean")},
    "val/category/i2t/PR@0.5": 0.5, "val/category/i2t/Success": 0.5,
}  # fmt: skip
TEST = {f"test/instance/{way}/{name}": 0.5 for way in ("i2t", "t2i", "mean") for name in ("R@1", "MeanR")}


@pytest.fixture(scope="module")
def results():
    return read_results(ROOT / "tests" / "golden" / "runs" / "ucch")


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    Image.new("RGB", (300, 200), "red").save(folder / "a.png")
    picture, gone = Item("a", image=folder / "a.png"), Item("b", image=folder / "gone.png")
    caption = Item("c", text="a red field")
    return [
        QuerySample("t2i", caption, (Hit(gone, 0.9, False, True), Hit(picture, 0.5, True, True)), 2, 2),
        QuerySample("i2t", picture, (Hit(caption, 0.5, True, True),), 1, 1),
    ]


@pytest.fixture(scope="module")
def logged(tmp_path_factory, results, samples):
    """Two epochs, a test and the end of a run."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "report.html").write_text("<p>page</p>")
    with open_loggers(composed().logger, folder, RUN) as loggers:
        for logger in loggers:
            for epoch in (0, 1):
                logger.log_metrics(EPOCH | {"epoch": epoch, "val/instance/mean/R@1": 0.5 - 0.1 * epoch}, epoch)
            logger.log_metrics(TEST | {"search/i2t/flat/build_seconds": 1.0, "search/t2i/flat/build_seconds": 2.0}, 2)
            if hasattr(logger, "log_table"):
                logger.log_table("search/i2t/rows", columns=["index"], data=[["flat"]])
        log_finished(loggers, results, '{"x": 1}\n', samples, {"category/i2t": CURVE}, folder)
    return folder, read_offline_run(folder)


def test_an_epoch_logs_the_mean_of_both_directions_and_a_test_each(logged):
    _, run = logged
    assert {key for key in run.keys if key.startswith("val/")} == {
        "val/instance/RSUM", "val/mine/x", "val/instance/mean/R@1", "val/instance/mean/MedR",
        "val/category/i2t/Success",
    }  # fmt: skip
    assert {"test/instance/i2t/R@1", "test/instance/t2i/R@1", "search/t2i/flat/build_seconds"} <= run.keys
    left_out = {"test/instance/mean/R@1", "test/instance/i2t/MeanR", "search/i2t/flat/build_seconds"}
    assert not left_out & run.keys


def test_no_table_is_left_out(logged):
    assert logged[1].table("search/i2t/rows") == [{"index": "flat"}]


def test_other_loggers_have_every_number(logged):
    header = (logged[0] / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {*EPOCH, *TEST, "efficiency/encode_seconds", "test/category/i2t/chance/mAP@N"} - {"epoch"} <= set(header)


def test_the_summary_has_the_best_value_of_an_epoch_by_the_direction_of_its_metric(logged):
    _, run = logged
    assert run.metrics["val/instance/mean/R@1"].summary.max
    assert run.metrics["val/instance/mean/R@1"].step_metric == "epoch"
    assert run.summary["val/instance/mean/R@1"] == {"max": 0.5, "last": 0.4}
    assert run.metrics["val/instance/mean/MedR"].summary.min
    assert run.metrics["train/loss"].summary.min


def test_the_main_numbers_have_their_interval_and_chance(logged, results):
    _, run = logged
    for key in ("instance/i2t/R@10", "instance/t2i/R@10", "category/i2t/mAP@N", "category/t2i/mAP@N"):
        where, _, name = key.rpartition("/")
        metric, chance = results.metric(key), results.metric(f"{where}/chance/{name}")
        found = [run.summary[f"test/{where}/{part}/{name}"] for part in ("low", "high", "chance")]
        assert found == pytest.approx([metric.low, metric.high, chance.value])


def test_without_resamples_there_is_no_interval(results):
    bare = {name: replace(metric, low=None, high=None) for name, metric in results.metrics.items()}
    assert {key.split("/")[3] for key in main_intervals(replace(results, metrics=bare))} == {"chance"}


def test_times_and_sizes_are_there(logged, results):
    _, run = logged
    for name, value in results.efficiency.items():
        assert run.summary[f"efficiency/{name}"] == pytest.approx(value)


def test_a_table_has_every_metric_with_its_definition(logged, results):
    rows = {(row["task"], row["direction"], row["metric"]): row for row in logged[1].table("metrics")}
    row, metric = rows["instance", "t2i", "MeanR"], results.metric("instance/t2i/MeanR")
    assert (row["value"], row["low"], row["unit"]) == (metric.value, metric.low, "rank")
    assert row["definition"] == metric.definition
    assert row["chance"] == results.metric("instance/t2i/chance/MeanR").value


def test_curves_are_lines_and_no_keys(logged, results):
    _, run = logged
    points = {(row["lineKey"], row["step"]): row["lineVal"] for row in run.table("curves/precision_recall_table")}
    assert points["i2t", 0.5] == results.metric("category/i2t/PR@0.5").value
    assert points["t2i, chance", 1.0] == results.metric("category/t2i/chance/PR@1.0").value
    points = {(row["lineKey"], row["step"]): row["lineVal"] for row in run.table("curves/recall_table")}
    assert points["t2i", 10] == results.metric("instance/t2i/R@10").value
    rows = run.table("curves/radius_table")
    assert [row["lineVal"] for row in rows if row["lineKey"] == "i2t, recall"] == CURVE.recall.tolist()


def test_samples_show_query_rank_and_what_was_found_with_the_relevant_marked(logged):
    _, run = logged
    (row,) = run.table("samples/t2i")
    assert (row["query"], row["rank of the first relevant item"], row["found 1"]) == ("a red field", 2, "b")
    found = row["found 2"]
    assert (found["_type"], found["caption"]) == ("image-file", "relevant")
    (row,) = run.table("samples/i2t")
    assert row["query"]["_type"] == "image-file"
    assert row["found 1"] == "[relevant] a red field"


def test_results_and_page_are_an_artifact_that_waits_in_the_runs_folder(logged):
    folder, run = logged
    (artifact,) = [each for each in run.artifacts if each.type == "results"]
    paths = {item.path: Path(item.local_path) for item in artifact.manifest.contents}
    assert {name: path.read_text() for name, path in paths.items()} == {
        "report.html": "<p>page</p>", "results.json": '{"x": 1}\n',
    }  # fmt: skip
    assert all(path.is_relative_to(folder / "wandb") for path in paths.values())
