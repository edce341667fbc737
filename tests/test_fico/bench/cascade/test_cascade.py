"""A cascade of all items is its ranker; a shallower one scores what it says, and its files are those of a run."""

import csv
import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from fico.bench.cascade.cascade import measure
from fico.bench.cascade.ranker import EmbeddingRanker
from fico.bench.cascade.request import Depth, checked_request, read_depths
from fico.bench.cascade.table import cascade_tables
from fico.bench.timing import timed
from fico.cli.app import app
from fico.embeddings.store import EmbeddingStore
from fico.errors import UsageError
from fico.report.results.schema import read_results
from fico.report.table.terminal import fitted
from fico.similarity import SIMILARITIES

ROOT = Path(__file__).resolve().parents[4]
WHOLE = (Depth(100, is_percent=True),)


@pytest.fixture(autouse=True)
def timed_once(monkeypatch):
    """Repeats make seconds steadier, at which no test here looks."""
    for module in ("cascade", "ranker", "screen"):
        monkeypatch.setattr(f"fico.bench.cascade.{module}.timed", partial(timed, repeats=1))


def _same(found, wanted):
    shared = [name for name in wanted if name in found and "PR@" not in name]
    assert len(shared) > 10
    for name in shared:
        assert found[name].value == pytest.approx(wanted[name].value, abs=1e-9), name


@pytest.mark.parametrize("rank", ["scan", "imram", "vsrn", "adv"])
def test_a_cascade_of_all_items_is_its_ranker(runs, rank):
    outcome = measure(checked_request(runs["ucch"], runs[rank], WHOLE, None))
    _same(outcome.cascades[0].metrics, read_results(runs[rank]).metrics)
    assert outcome.cascades[0].found == {"i2t": 1.0, "t2i": 1.0}
    assert outcome.cascades[0].kept["t2i"] == pytest.approx(dict.fromkeys(outcome.cascades[0].kept["t2i"], 1.0))


@pytest.mark.parametrize("rank", ["xvlm", "blip2"])
def test_a_re_ranker_of_all_items_depends_on_no_screen(runs, rank):
    """Its states are encoded again; from text to image its own run scored all pairs, as there are fewer images."""
    whole = [
        measure(checked_request(runs[screen], runs[rank], WHOLE, index)).cascades[0].metrics
        for screen, index in (("ucch", None), ("vsrn", "flat"))
    ]
    _same(*whole)
    own = read_results(runs[rank]).metrics
    _same(whole[0], {name: metric for name, metric in own.items() if "/t2i/" in name})


@pytest.mark.parametrize("index", ["flat", "hnsw", "itq:16"])
def test_floats_screen_by_an_index(runs, index):
    outcome = measure(checked_request(runs["vsrn"], runs["scan"], read_depths("5,10%"), index))
    screen, five, tenth, rank = outcome.systems
    assert (five.costs["i2t"].pairs, tenth.costs["i2t"].pairs, tenth.costs["t2i"].pairs) == (5, 10, 2)
    assert rank.costs["i2t"].pairs == len(outcome.store.caption_ids)
    assert screen.costs["t2i"].pairs == 0
    assert "test/instance/t2i/R@5" in five.metrics
    assert five.found["t2i"] == pytest.approx(five.metrics["test/instance/t2i/R@5"].value)  # in whatever order
    assert "test/instance/t2i/R@10" not in five.metrics
    assert "R@10" not in five.kept["t2i"]


def test_its_files_are_those_of_a_run(runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call = ["cascade", str(runs["ucch"]), str(runs["scan"]), "--k", "3,10", "--out", "found"]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == str(tmp_path / "found")
    deepest, other = read_results(Path("found")), read_results(Path("found/k3"))
    assert (deepest.model.name, other.model.name) == ("ucch-64 > scan, k=10", "ucch-64 > scan, k=3")
    assert deepest.efficiency["i2t_pairs"] == 10
    assert deepest.metrics["test/instance/i2t/R@10"].low is not None
    page = Path("found/report.html").read_text()
    assert "Cascade, image to text" in page
    assert "<svg" in page
    rows = list(csv.DictReader(Path("found/cascade.csv").read_text().splitlines()))
    assert [(row["system"], row["k"]) for row in rows[::2]] == [
        ("ucch-64", ""), ("ucch-64 > scan", "3"), ("ucch-64 > scan", "10"), ("scan", ""),
    ]  # fmt: skip
    assert CliRunner().invoke(app, ["compare", "found", "found/k3", str(runs["scan"])]).exit_code == 0
    assert CliRunner().invoke(app, ["report", "found", "--out", "tables"]).exit_code == 0
    for folder, count in (("found", len(deepest.metrics)), ("found/k3", len(other.metrics))):
        verified = CliRunner().invoke(app, ["verify", folder])
        assert f"all {count} metrics of {folder} are the same" in verified.output
    again = CliRunner().invoke(app, [*call[:4], "5", *call[5:]])
    assert again.exit_code == 2
    again = CliRunner().invoke(app, [*call[:4], "5", *call[5:], "--overwrite"])
    assert again.exit_code == 0
    assert sorted(path.name for path in Path("found").iterdir() if path.is_dir()) == []


def test_its_table_says_the_depth_in_each_part_and_defines_its_columns_once(runs):
    tables = cascade_tables(measure(checked_request(runs["ucch"], runs["scan"], read_depths("3,5"), None)), "test")
    for part in fitted(tables[0], Console(width=70)):
        assert [column.name for column in part.columns[:2]] == ["system", "k"]
    assert [len(table.notes) for table in tables] == [0, 1]


def test_a_foreign_folder_is_never_overwritten(runs):
    folders = [str(runs[name]) for name in ("ucch", "scan", "scan")]
    done = CliRunner().invoke(app, ["cascade", *folders[:2], "--out", folders[2], "--k", "3", "--overwrite"])
    assert done.exit_code == 2
    assert "something else than a cascade" in done.stderr


@pytest.mark.parametrize(
    ("screen", "rank", "words", "told"),
    [
        ("vsrn", "scan", ["--k", "3"], "--screen itq:64, flat or hnsw"),
        ("scan", "vsrn", ["--k", "3"], "no embedding to screen with"),
        ("ucch", "scan", ["--k", "3", "--screen", "flat"], "leave --screen out"),
        ("vsrn", "scan", ["--k", "3", "--screen", "itq:12"], "multiple of 8"),
        ("vsrn", "scan", ["--k", "3", "--screen", "ivf"], "choose one of codes, itq:BITS, flat, hnsw"),
        ("ucch", "scan", ["--k", "21"], "only 20 images"),
        ("ucch", "scan", ["--k", "0"], "whole numbers from 1"),
        ("ucch", "scan", ["--k", "3,3"], "twice"),
        ("ucch", "nowhere", ["--k", "3"], "there is no folder"),
    ],
)
def test_what_cannot_be_a_cascade_is_said(runs, screen, rank, words, told):
    done = CliRunner().invoke(app, ["cascade", str(runs[screen]), str(runs.get(rank, rank)), *words])
    assert done.exit_code == 2
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_runs_on_other_data_are_refused(runs, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    plain = json.loads((runs["scan"] / "results.json").read_text())
    plain["data"]["fingerprint"] = "0" * 64
    del plain["digest"]
    plain["versions"]["fico"] = "0.1.0"
    (other / "results.json").write_text(json.dumps(plain))
    with pytest.raises(UsageError, match="its content differs"):
        checked_request(runs["ucch"], other, read_depths("3"), None)


def test_it_answers_before_torch_is_imported(runs):
    code = (
        "import sys; from pathlib import Path; from fico.bench.cascade.request import checked_request, read_depths\n"
        f"checked_request(Path({str(runs['ucch'])!r}), Path({str(runs['scan'])!r}), read_depths('3'), None)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_pairs_of_embeddings_have_the_scores_of_a_search(similarity):
    from fico.search.exact import ExactSearch

    rows = np.random.default_rng(0).normal(size=(9, 16)).astype(np.float32)
    rows = np.sign(rows) if similarity == "hamming" else rows
    bits, images, texts = (16 if similarity == "hamming" else None), rows[:3], rows[3:]
    if bits:
        images, texts = (np.packbits(side > 0, axis=1) for side in (images, texts))
    store = EmbeddingStore(images, texts, (), (), None, bits, None, {})
    search = ExactSearch(similarity, bits)
    search.add(texts)
    found = search.search(images, 6)
    keys = np.arange(3)[:, None] * 6 + found.indices
    ranked = EmbeddingRanker(store, similarity).score(np.arange(18))
    np.testing.assert_allclose(ranked[keys], found.scores, rtol=1e-5, atol=1e-6)
