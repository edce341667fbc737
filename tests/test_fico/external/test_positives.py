"""Further positives of a run: their sources, what is refused before anything is trained, and a run with them."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from fico.cli.verify.run import verify_run
from fico.correspondence import Correspondence
from fico.datasets.shapes.shapes import Shapes
from fico.errors import DataError, UsageError
from fico.experiment.config.pairing import check_pairing
from fico.external.positives import further_positives, source_problems

ROOT = Path(__file__).resolve().parents[3]


def test_a_file_holds_the_ids_of_the_data_set(tmp_path):
    (tmp_path / "mine.csv").write_text("image,caption\nb,x\nb,z\n")
    own = Correspondence([0, 0, 1])
    found = further_positives({"mine": str(tmp_path / "mine.csv")}, ["a", "b"], ["x", "y", "z"], own)
    assert found["mine"].pairs.tolist() == [[1, 0], [1, 2]]
    assert found["mine"].caption_to_image.tolist() == [0, 0, 1]
    with pytest.raises(DataError, match="names the image b, which is none of the 1 images"):
        further_positives({"mine": str(tmp_path / "mine.csv")}, ["a"], ["x", "y", "z"], Correspondence([0, 0, 0]))


def test_wrong_sources_are_one_sentence_each():
    sources = {"a": "eccv_caption/pm", "b": "absent.csv", "c": "eccv_caption/cxc"}
    problems = list(source_problems(sources, "metric.positives."))
    assert [problem.partition(" ")[0] for problem in problems] == [
        "metric.positives.a=eccv_caption/pm", "metric.positives.b=absent.csv",
    ]  # fmt: skip
    assert "it has eccv, cxc, original" in problems[0]
    assert list(source_problems("FILE")) == [
        "positives is 'FILE', but must name a file for each task, such as {mine: FILE}"
    ]


@pytest.mark.parametrize("name", ["instance", "nnn", "dual_softmax", "a/b"])
def test_a_name_that_other_rows_have_is_refused_before_anything_is_trained(name):
    (problem,) = source_problems({name: "eccv_caption/cxc"}, "metric.positives.")
    assert problem.startswith(f"metric.positives.{name}: positives have the name {name!r}")


def test_annotations_of_coco_are_refused_for_other_data():
    config = OmegaConf.create({"dataset": {"name": "shapes"}, "metric": {"positives": {"eccv": "eccv_caption/eccv"}}})
    with pytest.raises(UsageError, match="annotates the test split of COCO, but the data set is shapes"):
        check_pairing(config)


def test_a_run_evaluates_further_positives_beside_the_others_in_every_output(warm_python, tmp_path):
    split = Shapes(images=30).split("test")
    rows = np.argwhere(np.random.default_rng(0).random((len(split.image_ids), len(split.caption_ids))) < 0.05)
    lines = [f"{split.image_ids[image]} 0 {split.caption_ids[caption]} 1\n" for image, caption in rows]
    (tmp_path / "mine.qrels").write_text("".join(lines))
    done = warm_python(
        "run.py", "dataset.images=30", "model.epochs=1", "index=[]", "metric.bootstrap=10", "logger=none",
        f"+metric.positives={{mine: {tmp_path / 'mine.qrels'}}}", f"hydra.run.dir={tmp_path}/run",
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "By the positives of mine" in done.stdout
    assert "By the positives of mine" in (tmp_path / "run/report.html").read_text()
    metrics = json.loads((tmp_path / "run/results.json").read_text())["metrics"]
    metric = metrics["test/mine/i2t/R@10"]
    assert metric["low"] <= metric["value"] <= metric["high"]
    assert metric["queries"] == len(set(rows[:, 0]))
    assert metric["definition"].startswith(
        "fraction of queries with at least one relevant item among the first 10; pos"
    )
    assert "test/mine/t2i/chance/R@10" in metrics
    assert "test/instance/i2t/R@10" in metrics
    assert verify_run(tmp_path / "run") == (len(metrics), [])
