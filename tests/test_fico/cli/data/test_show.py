"""``fico data show``: the numbers of a data set, chance against counting, and a page that holds what it says."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import fico
from fico.cli.app import app
from fico.datasets import load_dataset
from fico.report.html.split_statistics import split_statistics

COUNTS = {"train": 30, "val": 10, "test": 12}


def made(root, *, is_labelled=True, pictures=True, splits=tuple(COUNTS)):
    """Images with one to three captions, some without a category."""
    (root / "images").mkdir(parents=True)
    images, names = [], []
    for split in splits:
        for row in range(COUNTS[split]):
            name = f"{split}{row}"
            sentences = [{"raw": f"a <b>bold</b> {name} seen {'very ' * place}often"} for place in range(1 + row % 3)]
            images.append({"filename": f"{name}.jpg", "split": split, "sentences": sentences})
            names.append(name)
            if pictures:
                Image.new("RGB", (40, 30), (row, 9, 200)).save(root / "images" / f"{name}.jpg")
    (root / "dataset_tiny.json").write_text(json.dumps({"images": images}))
    if is_labelled:
        rows = (np.random.default_rng(0).random((len(names), 5)) < 0.25).astype(np.uint8)
        np.savez(root / "labels.npz", image_ids=names, labels=rows, classes=["cat", "dog", "<i>", "car", "tree"])
    return root


class Page(HTMLParser):
    """What the page shows: pictures, tags of captions, chips."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def shown(tmp_path, *arguments):
    out = tmp_path / "page.html"
    done = CliRunner().invoke(app, ["data", "show", *map(str, arguments), "--out", str(out)])
    assert done.exit_code == 0, done.output
    return Page(out.read_text()), done.output


def test_the_page_has_samples_labels_numbers_and_needs_no_network(tmp_path):
    page, told = shown(tmp_path, made(tmp_path / "d"), "--samples", 5)
    pictures = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert len(pictures) == 5
    assert all(source.startswith("data:image/jpeg;base64,") for source in pictures)
    assert not [tag for tag, _ in page.tags if tag in ("b", "script", "link")], "captions are escaped"
    assert "a <b>bold</b> test" in page.text
    assert "train: 30 images, 60 captions, relevance density" in told
    for word in ("relevance density", "mAP@N", "R@10", "Words per caption", "images without a category", "cat", "tree"):
        assert word in page.text


def test_without_labels_and_files_it_says_so(tmp_path):
    page, _ = shown(tmp_path, made(tmp_path / "d", is_labelled=False, pictures=False))
    assert "mAP@N" not in page.text
    assert "split test: 12 of 12 images have no file" in page.text
    assert page.text.count("no file") == len(COUNTS) + 12


def test_a_data_set_of_one_split_is_shown_too(tmp_path):
    _, told = shown(tmp_path, made(tmp_path / "d", splits=("test",)))
    assert "train" not in told.splitlines()[0]
    done = CliRunner().invoke(app, ["data", "show", str(tmp_path / "d"), "--split", "val"])
    assert done.exit_code == 1
    assert "split 'val'" in done.output


def test_a_name_without_its_folder_is_one_sentence():
    done = CliRunner().invoke(app, ["data", "show", "wikipedia"])
    assert done.exit_code == 2
    assert "give --root" in done.output


def test_numbers_are_those_of_counting(tmp_path):
    split = load_dataset(made(tmp_path / "d")).split("test")
    numbers = split_statistics(split)
    assert numbers.captions_per_image == {1: 4, 2: 4, 3: 4}
    assert numbers.words == {7: 12, 8: 8, 9: 4}
    assert numbers.unlabelled == sum(not row.any() for row in split.labels)
    pairs = [(a & b).any() for a in split.labels for b in split.labels]
    assert numbers.density == pytest.approx(np.mean(pairs))


def test_chance_is_that_of_an_evaluation(tmp_path):
    split = load_dataset(made(tmp_path / "d")).split("test")
    generator = np.random.default_rng(0)
    vectors = [generator.normal(size=(count, 4)) for count in (len(split.image_ids), len(split.captions))]
    result = fico.evaluate(*vectors, split.correspondence, labels=split.labels, bootstrap=1)
    for name, value in split_statistics(split).chance.items():
        task, way, metric = name.split("/")
        assert value == pytest.approx(result.metrics[f"{task}/{way}/chance/{metric}"]), name
