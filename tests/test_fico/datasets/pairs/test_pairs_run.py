"""Pairs and subsets from the command line: the data of a run, and one from the training to a search."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fico.errors import DataError
from fico.experiment.config.checks import check_config
from fico.experiment.config.pairing import check_data
from fico.experiment.data import build_data
from tests.configs import composed

ROOT = Path(__file__).resolve().parents[4]
FIXTURES = Path(__file__).parent / "fixtures"


def test_the_data_of_a_run_on_a_subset_of_pairs():
    config = composed(
        "model=vsrn", "dataset=pairs", f"dataset.root={FIXTURES}/blip.json", "dataset.subset=1", "dataset.name=mine"
    )
    check_config(config)
    check_data(config)
    assert config.name == "vsrn-mine-first1-s0"
    data = build_data(config)
    assert {name: len(split.image_ids) for name, split in data.splits.items()} == {"train": 1, "val": 1, "test": 1}
    assert {split.dataset for split in data.splits.values()} == {"mine(first 1)"}
    assert "split train: the first 1 of 2 images (dataset.subset)" in data.splits["train"].notes


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("dataset.caption_column=captoin", "did you mean caption?"),
        ("dataset.root=nowhere", "correct dataset.root"),
        ("dataset.subset=0", "dataset.subset is 0, but must be a whole number of at least 1"),
    ],
)
def test_wrong_columns_and_paths_are_named_in_one_line(warm_python, tmp_path, override, told):
    words = ("dataset=pairs", f"dataset.root={FIXTURES}/pandas.csv", override, f"hydra.run.dir={tmp_path}/r")
    done = warm_python("run.py", *words)
    assert done.returncode in (1, 2)
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def test_images_without_captions_are_told_at_once(tmp_path):
    (tmp_path / "1.jpg").touch()
    with pytest.raises(DataError, match="1 of 1 images in .* have no .txt with captions beside them"):
        check_data(composed("dataset=pairs", f"dataset.root={tmp_path}"))
    (tmp_path / "1.txt").write_text("a caption\n")
    check_data(composed("dataset=pairs", f"dataset.root={tmp_path}"))


@pytest.mark.slow
def test_a_run_on_pairs_says_how_its_splits_were_made_and_can_be_searched(tmp_path, own_cache):
    rows = ["file,text"]
    for number in range(40):
        noise = np.random.default_rng(number).integers(0, 255, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((40, 40)).save(tmp_path / f"{number}.jpg")
        rows += [f"{number}.jpg,picture {number} {word}" for word in ("of squares", "of colours", "of squares")]
    (tmp_path / "mine.csv").write_text("\n".join(rows))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = tmp_path / "run"
    settings = ("model.epochs=1", "index=[]", "metric.bootstrap=0", "logger=none", f"hydra.run.dir={run}")
    train = ["run.py", "model=vsrn", "dataset=pairs", f"dataset.root={tmp_path}/mine.csv", *settings]
    search = ["-m", "fico", "search", str(run), "picture of squares", "--k", "2", "--json"]
    for command in (train, search):
        done = subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
    assert len(json.loads(done.stdout)) == 2
    notes = " ".join(json.loads((run / "results.json").read_text())["notes"])
    assert "40 rows that repeat image and caption were left out" in notes
    assert "split test: the files assign no image to it; 4 of their 40 training images were drawn" in notes
