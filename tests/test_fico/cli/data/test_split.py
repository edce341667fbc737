"""``fico split``: shares of every category, independence from the file's order, and a file that is whole or absent."""

import gzip
import json
import random

import numpy as np
import pytest
from typer.testing import CliRunner

from fico.cli.app import app
from fico.datasets import load_dataset
from fico.datasets.splits import stratified
from fico.errors import UsageError

SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}


def labels(images=1000, seed=0):
    """Categories from frequent to rare, some together, some images without."""
    generator = np.random.default_rng(seed)
    held = generator.random((images, 12)) < np.geomspace(0.5, 0.01, 12)
    held[:, 3] |= held[:, 2]
    return held


def ids(images=1000):
    return [f"im{row}" for row in range(images)]


@pytest.mark.parametrize("seed", range(5))
def test_every_category_has_its_share(seed):
    held, splits = labels(seed=seed), np.array(stratified(ids(), labels(seed=seed), SHARES, seed))
    at_random = np.random.default_rng(seed).permutation(splits)
    for name, share in SHARES.items():
        assert abs((splits == name).sum() - share * 1000) <= 2
        wanted = held.sum(axis=0) * share
        assert np.abs(held[splits == name].sum(axis=0) - wanted).max() <= 3
        assert np.abs(held[at_random == name].sum(axis=0) - wanted).max() > 3, "which chance does not give"


def test_the_order_of_the_images_changes_nothing_and_the_seed_does():
    held, order = labels(), np.random.default_rng(1).permutation(1000)
    first = dict(zip(ids(), stratified(ids(), held, SHARES, 0), strict=True))
    shuffled = [ids()[row] for row in order]
    assert dict(zip(shuffled, stratified(shuffled, held[order], SHARES, 0), strict=True)) == first
    assert stratified(ids(), held, SHARES, 1) != list(first.values())


def test_without_labels_the_sizes_are_right():
    splits = stratified(ids(), None, SHARES, 0)
    assert [splits.count(name) for name in SHARES] == [700, 100, 200]


@pytest.mark.parametrize("shares", [{"train": 0.9, "test": 0.2}, {"train": 1.0, "test": 0.0}, {"a": 1.5, "b": -0.5}])
def test_impossible_shares_are_refused(shares):
    with pytest.raises(UsageError, match="each must be above 0 and all together 1"):
        stratified(ids(), None, shares, 0)


def write(folder, *, shuffled=0, gz=False):
    folder.mkdir(exist_ok=True)
    images = [{"filename": f"{item}.jpg", "sentences": [{"raw": f"a {item}"}] * 3} for item in ids(200)]
    random.Random(shuffled).shuffle(images)
    text = json.dumps({"dataset": "new", "images": images}).encode()
    (folder / ("dataset_new.json.gz" if gz else "dataset_new.json")).write_bytes(gzip.compress(text) if gz else text)
    np.savez(folder / "labels.npz", image_ids=ids(200), labels=labels(200).astype(np.uint8))
    return folder


def run(*arguments):
    return CliRunner().invoke(app, ["split", *map(str, arguments)])


@pytest.mark.parametrize("gz", [False, True])
def test_the_written_splits_load_and_are_recorded(tmp_path, gz):
    folder = write(tmp_path / "new", gz=gz)
    done = run(folder, "--key", "mine", "--seed", 4)
    assert done.exit_code == 0, done.output
    assert "train: 140 images, 420 captions" in done.output
    dataset = load_dataset(folder, split_key="mine")
    assert [len(dataset.split(name).image_ids) for name in SHARES] == [140, 20, 40]
    data = dataset.json_path.read_bytes()
    record = json.loads(gzip.decompress(data) if gz else data)["splits"]["mine"]
    assert record["seed"] == 4
    assert record["shares"] == SHARES
    assert record["method"] == "iterative stratification by labels"
    assert record["fingerprint"][:12] in done.output
    again = write(tmp_path / "again", shuffled=3, gz=gz)
    assert record["fingerprint"][:12] in run(again, "--key", "mine", "--seed", 4).output, "whatever the file's order"


def test_a_field_that_is_there_stays_unless_overwritten(tmp_path):
    folder = write(tmp_path / "new")
    run(folder)
    before = (folder / "dataset_new.json").read_bytes()
    done = run(folder, "--seed", 1)
    assert done.exit_code == 2
    assert "have the field 'split' already" in done.output
    assert (folder / "dataset_new.json").read_bytes() == before
    assert run(folder, "--seed", 1, "--overwrite").exit_code == 0
    assert (folder / "dataset_new.json").read_bytes() != before
    assert run(folder, "--val", 0.5, "--test", 0.5, "--force").exit_code == 2


def test_another_file_may_be_written(tmp_path):
    folder = write(tmp_path / "new")
    before = (folder / "dataset_new.json").read_bytes()
    assert run(folder, "--out", tmp_path / "other" / "dataset.json").exit_code == 0
    assert (folder / "dataset_new.json").read_bytes() == before
    assert load_dataset(tmp_path / "other" / "dataset.json").split("val")


def test_captions_of_cocos_form_become_a_data_set(tmp_path):
    (tmp_path / "annotations").mkdir()
    images = [{"id": n, "file_name": f"{n}.jpg"} for n in range(30)]
    captions = [{"id": 100 + k, "image_id": k % 30, "caption": f"Thing {k}. "} for k in range(75)]
    captions.reverse()
    (tmp_path / "annotations" / "captions_mine.json").write_text(
        json.dumps({"images": images, "annotations": captions})
    )
    assert run(tmp_path).exit_code == 0
    train = load_dataset(tmp_path).split("train")
    assert len(train.image_ids) == 21
    assert train.caption_ids[:3] == tuple(str(100 + int(train.image_ids[0]) + step) for step in (0, 30, 60))


@pytest.mark.data
def test_real_labels_are_split_evenly(data_dir):
    from fico.datasets.labels import LabelFile

    held = LabelFile(data_dir / "coco_karpathy_test5k" / "labels.npz")
    splits = np.array(stratified(list(held.rows), held.labels, SHARES, 0))
    for name, share in SHARES.items():
        wanted = held.labels.sum(axis=0) * share
        gaps = np.abs(held.labels[splits == name].sum(axis=0) - wanted)
        assert (gaps <= np.maximum(1, 0.03 * wanted)).all()
