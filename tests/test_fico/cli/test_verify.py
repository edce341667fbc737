"""`fico verify`: every file of a run, and what has a digest besides runs."""

import json
import shutil
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
from typer.testing import CliRunner

from fico.cli.app import app
from fico.features.cache import cached_rows
from fico.search.exact import ExactSearch
from fico.search.sharded.shards import ShardedSearch
from tests.corruption_kinds import EXAMPLES


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of an encoder, of a pair scorer and of a re-ranker."""
    folder = tmp_path_factory.mktemp("runs")
    for kind in ("encoder", "pair scorer", "re-ranker"):
        (folder / kind).mkdir()
        EXAMPLES[kind](folder / kind)
    return folder


@pytest.fixture
def verify(runs, tmp_path):
    def with_change(kind, change=lambda folder: None):
        folder = shutil.copytree(runs / kind, tmp_path / "run")
        change(folder)
        return _verify(folder)

    return with_change


def _verify(path):
    done = CliRunner().invoke(app, ["verify", str(path)])
    return SimpleNamespace(code=done.exit_code, out=" ".join(done.output.split()))


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("encoder", "recomputed from its embeddings"),
        ("pair scorer", "recomputed from its stored pair scores, scores.npy; the network was not run"),
        ("re-ranker", "recomputed from its embeddings and the stored scores of their candidates, rerank.npy; the net"),
    ],
)
def test_it_says_what_it_checked_and_what_it_recomputed(verify, kind, source):
    done = verify(kind)
    assert done.code == 0, done.out
    assert "as they were written: config.yaml, embeddings, " in done.out
    assert "are the same when " + source in done.out


@pytest.mark.parametrize("name", ["results.csv", "per_query.csv.gz", "report.html", "config.yaml"])
def test_a_file_that_no_metric_follows_from_is_checked_too(verify, name):
    done = verify("encoder", lambda folder: (folder / name).write_bytes((folder / name).read_bytes() + b" "))
    assert done.code == 1
    assert f"{name} was changed since it was written" in done.out


@pytest.mark.parametrize(("kind", "name"), [("pair scorer", "scores.npy"), ("re-ranker", "rerank.npy")])
def test_changed_scores_are_named_with_the_metrics_that_no_longer_follow(verify, kind, name):
    def change(folder):
        scores = np.load(folder / name)
        np.save(folder / name, -scores)

    done = verify(kind, change)
    assert done.code == 1
    assert f"{name} was changed" in done.out
    assert "metrics of " in done.out
    assert "instance/i2t/R@1: stored " in done.out


def test_an_edited_value_is_named(verify):
    def change(folder):
        path = folder / "results.json"
        plain = json.loads(path.read_text())
        plain["metrics"]["test/instance/t2i/R@5"]["value"] = 0.99
        path.write_text(json.dumps(plain))

    done = verify("encoder", change)
    assert done.code == 1
    assert "test/instance/t2i/R@5: stored 0.99, recomputed " in done.out
    assert "results.json was changed" in done.out


def test_a_deleted_report_is_no_fault_but_said(verify):
    done = verify("encoder", lambda folder: (folder / "report.html").unlink())
    assert done.code == 0
    assert "no longer there: report.html" in done.out


@pytest.fixture
def scores(tmp_path):
    """Results of `fico evaluate` on score matrices alone, and the file of the scores."""
    np.save(tmp_path / "i2t.npy", np.random.default_rng(0).normal(size=(5, 10)))
    options = ["--i2t", tmp_path / "i2t.npy", "--captions-per-image", 2, "--bootstrap", 2, "--out", tmp_path / "run"]
    with mock.patch("fico.report.html.page.write_report"):
        done = CliRunner().invoke(app, ["evaluate", *map(str, options)])
    assert done.exit_code == 0, done.output
    return tmp_path / "i2t.npy"


def test_an_evaluation_of_scores_is_recomputed_from_their_files(scores):
    done = _verify(scores.parent / "run")
    assert (done.code, "recomputed from the files that they were made from" in done.out) == (0, True), done.out
    np.save(scores, -np.load(scores))
    done = _verify(scores.parent / "run")
    assert (done.code, "instance/i2t/MeanR: stored " in done.out) == (1, True)
    scores.unlink()
    done = _verify(scores.parent / "run")
    assert (done.code, "cannot be read again" in done.out) == (1, True)


def test_an_ensemble_is_recomputed_from_its_runs(runs, tmp_path):
    members = [shutil.copytree(runs / "encoder", tmp_path / name) for name in "ab"]
    with mock.patch("fico.report.html.page.write_report"):
        options = ["ensemble", *members, "--out", tmp_path / "both"]
        assert CliRunner().invoke(app, list(map(str, options))).exit_code == 0
    done = _verify(tmp_path / "both")
    assert (done.code, "recomputed from the files" in done.out) == (0, True), done.out


def test_a_run_without_embeddings_says_that_nothing_can_be_recomputed(verify):
    done = verify("encoder", lambda folder: shutil.rmtree(folder / "embeddings"))
    assert done.code == 1
    assert "stores no embeddings and no scores, so its metrics cannot be recomputed" in done.out


def test_an_index_shards_a_store_and_a_cache_are_checked(tmp_path, runs, monkeypatch):
    monkeypatch.setenv("FICO_CACHE_DIR", str(tmp_path / "cache"))
    rows = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    cached_rows("kind", [1], (30, 4), [rows])
    for name, searcher in (("index", ExactSearch("inner")), ("shards", ShardedSearch(lambda: ExactSearch("inner"), 2))):
        searcher.add(rows)
        searcher.save(tmp_path / name)
    shutil.copytree(runs / "encoder" / "embeddings", tmp_path / "store")
    (cache,) = (tmp_path / "cache" / "features").iterdir()
    files = {"index": "", "shards": "shard0.index", "store": "images.safetensors", cache: "rows.npy"}
    for name, file in files.items():
        path = tmp_path / name
        done = _verify(path)
        assert (done.code, "is whole: " in done.out) == (0, True), done.out
        damaged = path / file if file else path
        damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
        done = _verify(path)
        assert (done.code, damaged.name in done.out.replace(" ", "")) == (1, True), done.out


def test_a_path_that_is_not_there_is_said(tmp_path):
    done = _verify(tmp_path / "none")
    assert (done.code, "does not exist" in done.out) == (2, True)
