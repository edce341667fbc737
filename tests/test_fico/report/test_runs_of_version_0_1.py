"""Results and embeddings that version 0.1.0 (commit d50e33f) wrote are still read."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

import fico
from fico.cli.app import app
from fico.report.results.schema import read_results

RUNS = Path(__file__).resolve().parents[2] / "golden" / "runs"
MODELS = ("scan", "ucch", "vsrn", "xvlm")


def invoke(*arguments):
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("model", MODELS)
def test_a_stored_run_is_verified(model, tmp_path):
    run = shutil.copytree(RUNS / model, tmp_path / model)
    invoke("verify", run)


def test_stored_runs_fill_a_report(tmp_path):
    invoke("report", RUNS, "--out", tmp_path / "report")
    text = "".join(path.read_text() for path in (tmp_path / "report").rglob("*.md"))
    assert all(name in text for name in MODELS)


def test_stored_runs_are_compared():
    assert "R@1" in invoke("compare", RUNS / "vsrn", RUNS / "ucch")


@pytest.mark.parametrize("model", ["ucch", "vsrn"])
def test_definitions_of_stored_runs_read_as_those_of_new_ones(model):
    results, store = read_results(RUNS / model), fico.EmbeddingStore.load(RUNS / model / "embeddings")
    options = {**results.config["metric"], "similarity": results.config["model"]["similarity"], "bootstrap": 2}
    sides = (store.images, store.texts, store.correspondence)
    again = fico.evaluate(*sides, labels=store.labels, bits=store.bits, **options)
    stored = {name.partition("/")[2]: metric.definition for name, metric in results.metrics.items()}
    assert stored == {name: text for name, text in again.definitions.items() if name in stored}
    assert set(again.definitions) - set(stored) == {"instance/RSUM", "instance/chance/RSUM"}  # newer than those runs
