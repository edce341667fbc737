"""A well-known data set that is not there is told of at once, with the command that gets it."""

import subprocess
import sys
from pathlib import Path

import pytest

from fico.errors import DataError
from fico.experiment.config.pairing import check_data
from fico.experiment.config.resolvers import dataset_name
from tests.configs import composed

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["coco", "flickr30k", "flickr8k"])
def test_a_missing_data_set_names_the_command(name, tmp_path):
    config = composed("model=ucch", f"dataset={name}", f"dataset.root={tmp_path}/nowhere")
    with pytest.raises(DataError, match=f"run `fico prepare {name} --root {tmp_path}/nowhere`") as caught:
        check_data(config)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["karpathy", "wikipedia", "precomp", "features"])
def test_of_other_data_sets_only_the_folder_is_asked_for(name, tmp_path):
    check_data(composed(f"dataset={name}", f"dataset.root={tmp_path}"))
    with pytest.raises(DataError, match="there is no folder nowhere with the data set"):
        check_data(composed(f"dataset={name}", "dataset.root=nowhere"))


def test_shapes_makes_its_folder_itself():
    check_data(composed("dataset=shapes", "dataset.root=nowhere"))
    check_data(composed("dataset=shapes"))


def test_a_run_is_named_after_its_data_set():
    assert composed("model=ucch", "dataset=mirflickr", "dataset.root=x").name == "ucch-64-mirflickr-s0"
    assert dataset_name(composed("dataset=shapes")) == "shapes"


def test_the_command_line_tells_it_before_torch_is_loaded(tmp_path):
    arguments = ["model=ucch", "dataset=coco", f"dataset.root={tmp_path}/nowhere", f"hydra.run.dir={tmp_path}/r"]
    command = [sys.executable, "-X", "importtime", "run.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    imported = {line.rsplit("|", maxsplit=1)[1].strip() for line in done.stderr.splitlines() if "import time:" in line}
    lines = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    assert done.returncode == 1
    assert len(lines) == 1
    assert "fico prepare coco" in lines[0]
    assert "hydra" in imported
    assert "torch" not in imported
