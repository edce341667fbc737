"""Labels that a model made are told apart from those of people."""

import json

import numpy as np
import pytest

from fico.datasets import load_dataset
from fico.labels.file import write_labels


@pytest.fixture
def folder(tmp_path):
    images = [{"filename": f"{n}.jpg", "imgid": n, "split": "train", "sentences": [{"raw": "a dog"}]} for n in range(3)]
    (tmp_path / "dataset_tiny.json").write_text(json.dumps({"images": images}))
    return tmp_path


def test_what_made_them_goes_with_the_split(folder):
    write_labels(folder / "labels.npz", ["0", "1", "2"], np.eye(3, dtype=bool), ["a", "b", "c"], {"made_by": "q2l"})
    split = load_dataset(folder).split("train")
    assert json.loads(split.label_origin)["made_by"] == "q2l"


def test_labels_of_people_have_no_such_origin(folder):
    assert load_dataset(folder).split("train").label_origin == ""
    np.savez(folder / "labels.npz", image_ids=np.arange(3), labels=np.eye(3, dtype=np.uint8))
    assert load_dataset(folder).split("train").label_origin == ""
