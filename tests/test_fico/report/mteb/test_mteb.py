"""mteb's layout: what a run writes, by a slow second version, and what a folder of theirs becomes."""

import json
import shutil
from functools import partial
from unittest import mock

import numpy as np
import pytest
from typer.testing import CliRunner

from fico.cli.app import app
from fico.cli.verify.run import evaluate_again
from fico.errors import DataError, UsageError
from fico.report.mteb.export import export_run
from fico.report.mteb.read import read_folder
from fico.report.mteb.table import mteb_tables
from fico.report.mteb.tasks import CUTS, task_of
from fico.report.results.schema import DataInfo, read_results

IMAGES, CAPTIONS = 12, 40


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of ``fico evaluate`` with codes that tie, and uneven numbers of captions."""
    folder, generator = tmp_path_factory.mktemp("run"), np.random.default_rng(0)
    owners = np.sort(np.concatenate([np.arange(IMAGES), generator.integers(0, IMAGES, CAPTIONS - IMAGES)]))
    for name, rows in (("images", IMAGES), ("texts", CAPTIONS)):
        np.save(folder / f"{name}.npy", np.sign(generator.standard_normal((rows, 8))).astype(np.float32))
    np.save(folder / "owners.npy", owners)
    options = {"images": "images", "texts": "texts", "pairs": "owners"}
    files = [f"--{option}={folder / name}.npy" for option, name in options.items()]
    with mock.patch("fico.report.html.page.write_report"):
        done = CliRunner().invoke(app, ["evaluate", *files, "--bits=8", "--bootstrap=0", "--out", str(folder / "run")])
    assert done.exit_code == 0, done.output
    return folder


def slow(scores, relevant):
    """Every score of one direction, equal items by row, as trec_eval defines them."""
    found = {}
    for k in CUTS:
        values = {name: [] for name in ("ndcg", "map", "precision", "recall", "cv_recall", "mrr")}
        for row, wanted in zip(scores, relevant, strict=True):
            hits = wanted[np.argsort(-row, kind="stable")].astype(float)
            first, ranks = hits[:k], np.arange(1, len(hits) + 1)
            ideal = (1 / np.log2(1 + ranks))[: min(k, int(hits.sum()))].sum()
            values["ndcg"].append((first / np.log2(1 + ranks[:k])).sum() / ideal)
            values["map"].append((first * np.cumsum(first) / ranks[:k]).sum() / hits.sum())
            values["precision"].append(first.sum() / k)
            values["recall"].append(first.sum() / hits.sum())
            values["cv_recall"].append(float(first.any()))
            values["mrr"].append(1 / (first.argmax() + 1) if first.any() else 0)
        found |= {f"{name}_at_{k}": np.mean(each) for name, each in values.items()}
        found[f"hit_rate_at_{k}"] = found[f"cv_recall_at_{k}"]
    return found


def exported(run, out, **changed):
    results = read_results(run / "run")
    again = partial(evaluate_again, run / "run", results)
    return export_run(results, again, out, **{"language": "eng-Latn", "overwrite": False, **changed})


def test_every_score_is_that_of_the_slow_version(run, tmp_path):
    files = {path.name: path for path in exported(run, tmp_path)}
    images, texts, owners = (np.load(run / f"{name}.npy") for name in ("images", "texts", "owners"))
    scores, relevant = images @ texts.T, owners[None] == np.arange(IMAGES)[:, None]
    for name, matrix, wanted in (("I2T", scores, relevant), ("T2I", scores.T, relevant.T)):
        content = json.loads(files[f"FiCoExternalData{name}Retrieval.json"].read_text())
        (row,) = content["scores"]["test"]
        assert (row.pop("hf_subset"), row.pop("languages")) == ("default", ["eng-Latn"])
        assert row.pop("main_score") == row["ndcg_at_10"]
        assert row == pytest.approx(slow(matrix, wanted), abs=1e-6)
        assert content["task_name"] == f"FiCoExternalData{name}Retrieval"
        assert isinstance(content["dataset_revision"], str)
        assert content["evaluation_time"] > 0
    folder = files["model_meta.json"].parent
    meta = json.loads(files["model_meta.json"].read_text())
    assert folder.parent.name.replace("__", "/") == meta["name"] == "fico/embeddings"
    assert (meta["revision"], meta["embed_dim"], meta["similarity_fn_name"]) == (folder.name, 8, "custom")


def test_what_is_there_stays_unless_it_shall_be_replaced(run, tmp_path):
    exported(run, tmp_path)
    with pytest.raises(UsageError, match="is there already; add --overwrite"):
        exported(run, tmp_path)
    assert len(exported(run, tmp_path, overwrite=True)) == 3


def test_a_run_is_its_own_row_when_it_comes_back(run, tmp_path):
    exported(run, tmp_path)
    (theirs,) = read_folder(tmp_path)
    assert (theirs.task, theirs.model, set(theirs.scores)) == ("FiCoExternalData", "fico/embeddings", {"i2t", "t2i"})
    (table,) = mteb_tables([read_results(run / "run")], [theirs])
    ours, back = (row.texts for row in table.rows)
    assert ours[1:2] + back[1:2] == ("here", "mteb")
    assert len(ours) == len(back) == 2 + 2 * 4
    assert table.rows[1].kind == "paper"


def theirs(folder, name, content):
    path = folder / "openai__clip" / "rev" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def test_a_file_of_their_repository_is_a_row_with_either_name_of_recall(tmp_path):
    rows = {"i2t": {"cv_recall_at_1": 0.781, "main_score": 0.7149, "ndcg_at_10": 0.7149, "nauc_x": float("nan")},
            "t2i": {"hit_rate_at_1": 0.5, "main_score": 0.6, "ndcg_at_10": 0.6}}  # fmt: skip
    for way, scores in rows.items():
        content = {"mteb_version": "2.1", "scores": {"test": [scores | {"hf_subset": "default"}]}}
        theirs(tmp_path, f"Flickr30k{way.upper()}Retrieval.json", content)
    theirs(tmp_path, "NIGHTSI2IRetrieval.json", "not read")
    (found,) = read_folder(tmp_path)
    (table,) = mteb_tables([], [found])
    assert table.title == "mteb: Flickr30k"
    assert table.rows[0].texts == ("openai/clip", "mteb 2.1", "78.1", "–", "–", "71.5", "50.0", "–", "–", "60.0")


@pytest.mark.parametrize(
    ("content", "wanted"),
    [("{", "is no JSON"), ([], "but a list"), ({"scores": {}}, "no scores of a"), ({"test": 1}, "no scores of a")],
)
def test_a_broken_file_is_named(tmp_path, content, wanted):
    theirs(tmp_path, "MSCOCOT2IRetrieval.json", content)
    with pytest.raises(DataError, match=f"MSCOCOT2IRetrieval.json.*{wanted}"):
        read_folder(tmp_path)


def test_a_folder_without_their_files_is_refused(tmp_path):
    with pytest.raises(UsageError, match="holds no file such as"):
        read_folder(tmp_path)
    with pytest.raises(UsageError, match="there is no folder"):
        read_folder(tmp_path / "none")


@pytest.mark.parametrize(
    ("name", "images", "wanted"),
    [
        ("coco", 5000, "MSCOCO"),
        ("flickr30k", 1000, "Flickr30k"),
        ("flickr30k", 999, "FiCoFlickr30k"),
        ("shapes(first 9)", 9, "FiCoShapesFirst9"),
    ],
)
def test_their_tasks_are_those_of_the_same_test_split(name, images, wanted):
    assert task_of(DataInfo(name, "test", images, 5 * images, 0, "ab")) == wanted


def test_the_command_exports_and_the_report_takes_it_back(run, tmp_path):
    done = CliRunner().invoke(app, ["export", "mteb", str(run / "run"), "--out", str(tmp_path / "mteb")])
    assert done.exit_code == 0, done.output
    assert done.output.count("FiCoExternalData") == 2
    options = ["--mteb", str(tmp_path / "mteb"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, ["report", str(run / "run"), *options])
    assert done.exit_code == 0, done.output
    assert "mteb: FiCoExternalData" in done.output
    assert "fico/embeddings" in (tmp_path / "out" / "report.md").read_text()
    two = [str(shutil.copytree(run / "run", tmp_path / name)) for name in ("one", "two")]
    done = CliRunner().invoke(app, ["compare", *two, "--examples", "0", "--mteb", str(tmp_path / "mteb")])
    assert done.exit_code == 0, done.output
    assert "fico/embeddings" in done.output[done.output.index("mteb: FiCoExternalData") :]


def test_a_comparison_refuses_a_folder_of_other_tasks(run, tmp_path):
    theirs(tmp_path, "MSCOCOT2IRetrieval.json", {"scores": {"test": [{"main_score": 0.5}]}})
    done = CliRunner().invoke(app, ["compare", str(run / "run"), str(run / "run"), "--mteb", str(tmp_path)])
    assert done.exit_code == 2
    assert f"{tmp_path} has no results of mteb on external data" in done.output
