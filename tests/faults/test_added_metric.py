"""A metric file and its line of YAML, both outside of the project, are in everything that a run leaves."""

import csv
import gzip
import json
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import fico

ROOT = Path(__file__).resolve().parents[2]
METRIC = '''
from dataclasses import dataclass

from fico.metrics.metric import PerQueryMetric


@dataclass(frozen=True, slots=True)
class Success(PerQueryMetric):
    """Probability that the first item is relevant; written for a single cut-off of 1."""

    task: str = "category"
    name = "Success"

    @property
    def depth(self):
        return 1

    def per_query(self, ranking):
        above, others, hits = ranking.first()
        return (above == 0) * hits.double() / (others + hits).clamp(min=1)

    def definition(self):
        return "fraction of queries whose first item shares a label"
'''
YAML = """
defaults: [both, _self_]
metrics:
  success: {_target_: success.Success}
"""
KEYS = tuple(f"category/{way}/Success" for way in ("i2t", "t2i"))


@pytest.fixture(scope="module")
def made(tmp_path_factory, warm_python):
    """Folder of a run with the metric and other cut-offs, its output, and what runs a script that finds the file."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "success.py").write_text(METRIC)
    (outside / "conf" / "metric").mkdir(parents=True)
    (outside / "conf" / "metric" / "mine.yaml").write_text(YAML)
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join([str(outside), str(ROOT)])}
    folder = outside / "run"
    python = partial(checked, warm_python, variables)
    printed = python(
        "run.py", f"--config-dir={outside / 'conf'}", f"hydra.run.dir={folder}", "metric=mine", "model=ucch",
        "dataset.images=30", "model.epochs=1", "metric.bootstrap=20", "index=[flat]", "metric.recall_at=[1,3]",
        "metric.map_at=[7]", "metric.folds=2",
    )  # fmt: skip
    return folder, printed, python


def checked(warm_python, variables, *arguments):
    done = warm_python(*arguments, env=variables)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def stored(folder):
    return json.loads((folder / "results.json").read_text())["metrics"]


def test_results_have_it_with_interval_chance_and_definition(made):
    metrics = stored(made[0])
    for key in KEYS:
        metric, (task, way, name) = metrics[f"test/{key}"], key.split("/")
        assert metric["low"] <= metric["value"] <= metric["high"]
        assert metric["pessimistic"] <= metric["value"] <= metric["optimistic"]
        assert metric["definition"].startswith("fraction of queries whose first item shares a label; ties: expected")
        assert 0 < metrics[f"test/{task}/{way}/chance/{name}"]["value"] < 1
    rows = {row["metric"]: row for row in csv.DictReader((made[0] / "results.csv").open())}
    assert float(rows[f"test/{KEYS[0]}"]["value"]) == metrics[f"test/{KEYS[0]}"]["value"]


def test_its_value_is_that_of_a_slow_second_version(made):
    store, metrics = fico.EmbeddingStore.load(made[0] / "embeddings"), stored(made[0])
    images, texts = (np.unpackbits(side, axis=1) for side in (store.images, store.texts))
    owners = {"images": np.arange(len(images)), "texts": store.correspondence.caption_to_image}
    distances = (images[:, None] != texts[None]).sum(axis=2)
    shared = (store.labels.astype(int) @ store.labels.T.astype(int))[:, owners["texts"]] > 0
    for key, far, relevant, sides in (
        (KEYS[0], distances, shared, ("images", "texts")),
        (KEYS[1], distances.T, shared.T, ("texts", "images")),
    ):
        folds = []
        for n in (0, 1):
            rows, columns = (np.flatnonzero(owners[side] * 2 // len(images) == n) for side in sides)
            pairs = zip(far[np.ix_(rows, columns)], relevant[np.ix_(rows, columns)], strict=True)
            folds.append(np.mean([hits[distance == distance.min()].mean() for distance, hits in pairs]))
        assert metrics[f"test/{key}"]["value"] == pytest.approx(np.mean(folds), abs=1e-12)


def test_single_queries_have_it_and_average_to_it(made):
    with gzip.open(made[0] / "per_query.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    values = [float(row["category/Success"]) for row in rows if row["direction"] == "t2i"]
    assert np.mean(values) == pytest.approx(stored(made[0])[f"test/{KEYS[1]}"]["value"], abs=1e-8)
    assert {"R@1", "R@3", "AP@7", "AP@N"} <= set(rows[0])
    assert "R@5" not in rows[0]


def test_tables_pages_and_loggers_have_it(made, tmp_path):
    folder, printed, python = made
    page = (folder / "report.html").read_text()
    python("-m", "fico", "report", str(folder), "--out", str(tmp_path / "paper"))
    paper = (tmp_path / "paper" / "report.md").read_text()
    logged = next((folder / "wandb").glob("offline-run-*/*.wandb")).read_bytes()
    header = (folder / "metrics.csv").read_text().splitlines()[0]
    for text in (printed, page, paper):
        assert "Success" in text
    assert "fraction of queries whose first item shares a label" in paper
    for key in KEYS:
        assert f"test/{key}".encode() in logged
        assert f"test/{key}" in header.split(",")
        assert f"val/{key}" in header.split(",")


def test_tables_have_the_cut_offs_that_were_asked_for(made):
    folder, printed, _ = made
    lines = [line.split()[0] for line in printed.splitlines() if line.strip()]
    assert {"R@1", "R@3", "mAP@7", "mAP@N"} <= set(lines)
    assert not {"R@5", "R@10", "mAP@10", "mAP@100"} & set(lines)
    assert "mean of 2 folds" in stored(folder)["test/instance/i2t/R@3"]["definition"]
    page = (folder / "report.html").read_text()
    assert ">R@3<" in page
    assert ">R@5<" not in page
    row = json.loads((folder / "results.json").read_text())["search"][0]
    assert set(row["task"]) == {"R@1", "R@3", "mAP@7"}


def test_the_stored_embeddings_give_it_again(made):
    folder, _, python = made
    python("-m", "fico", "verify", str(folder))
