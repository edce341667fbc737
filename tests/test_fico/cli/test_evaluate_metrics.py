"""``fico evaluate --recall-at --map-at --metric``: the cut-offs and metrics that a user asks for."""

from unittest import mock

import numpy as np
import pytest
from typer.testing import CliRunner

from fico.cli.app import app
from fico.cli.verify import verify_run
from fico.metrics.compose import build_metrics, describe_metrics
from fico.metrics.defaults import default_metrics
from fico.metrics.plausible_match import PMRP
from fico.report.results.schema import read_results

PRECISION = "fico.metrics.precision_recall.Precision:k=3"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, generator = tmp_path_factory.mktemp("files"), np.random.default_rng(0)
    for name, rows in (("images", 8), ("texts", 16)):
        np.save(folder / f"{name}.npy", generator.normal(size=(rows, 6)).astype(np.float32))
    np.save(folder / "labels.npy", generator.random((8, 3)) < 0.5)
    return folder


def fico(files, *arguments):
    sides = ("--images", files / "images.npy", "--texts", files / "texts.npy", "--labels", files / "labels.npy")
    words = ["evaluate", "--bootstrap", "10", "--captions-per-image", "2", *map(str, sides), *map(str, arguments)]
    with mock.patch("fico.report.html.page.write_report"):
        return CliRunner().invoke(app, words)


def test_the_metrics_that_are_asked_for_are_printed_stored_and_verified(tmp_path, files):
    done = fico(files, "--recall-at", "1,3", "--map-at", "4", "--metric", "fico.metrics.plausible_match.PMRP",
                "--metric", PRECISION, "--out", tmp_path / "run")  # fmt: skip
    assert done.exit_code == 0, done.output
    metrics = read_results(tmp_path / "run").metrics
    names = {name.partition("/")[2] for name in metrics if "/i2t/" in name and "chance" not in name}
    assert {name for name in names if "R@" in name and "PR@" not in name} == {"instance/i2t/R@1", "instance/i2t/R@3"}
    assert {"category/i2t/mAP@4", "category/i2t/mAP@N", "category/i2t/PMRP", "category/i2t/P@3"} <= names
    assert "category/i2t/mAP@10" not in names
    assert all(name in done.stdout for name in ("R@3", "mAP@4", "PMRP", "P@3"))
    assert verify_run(tmp_path / "run") == (len(metrics), [])


def test_the_cut_offs_alone_leave_the_other_metrics_as_they_are(tmp_path, files):
    assert fico(files, "--recall-at", "2", "--out", tmp_path / "run").exit_code == 0
    metrics = read_results(tmp_path / "run").metrics
    assert "test/instance/i2t/R@2" in metrics
    assert "test/instance/i2t/R@1" not in metrics
    assert verify_run(tmp_path / "run") == (len(metrics), [])


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ("--recall-at '1,x' must be different whole numbers from 1", ("--recall-at", "1,x")),
        ("--map-at '0' must be different whole numbers from 1", ("--map-at", "0")),
        ("--recall-at '5,5' must be different", ("--recall-at", "5,5")),
        ("cannot be imported", ("--metric", "fico.metrics.nothing.Here")),
        ("is no class of metrics", ("--metric", "fico.types.Correspondence")),
        ("'k' has no =", ("--metric", "fico.metrics.precision_recall.Precision:k")),
        ("is a second instance metric R@1", ("--metric", "fico.metrics.recall.Recall:k=1")),
        ("--results-data prints the tables of the papers", ("--results-data", ".", "--map-at", "3")),
    ],
)
def test_what_cannot_be_is_one_sentence(files, words, arguments):
    done = fico(files, *arguments) if "--results-data" not in arguments else CliRunner().invoke(
        app, ["evaluate", *arguments]
    )  # fmt: skip
    assert done.exit_code == 2, done.output
    assert words in " ".join(done.stderr.split())


def test_a_description_builds_the_same_metrics():
    metrics = (*default_metrics(), PMRP((0, 4)))
    assert build_metrics(describe_metrics(metrics)) == metrics
