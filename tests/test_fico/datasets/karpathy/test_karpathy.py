"""The Karpathy reader, on tiny folders made here."""

import gzip
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from fico.datasets import load_dataset
from fico.datasets.karpathy.karpathy import Karpathy
from fico.datasets.words import caption_words
from fico.errors import DataError, UsageError
from fico.images.decode import open_rgb

SPLITS = ("train", "restval", "val", "test", "train")


def records(splits=SPLITS, captions=(5, 2, 1, 6, 3)):
    """One image per entry, with its number of captions."""
    images = []
    sentid = 100
    for imgid, (split, count) in enumerate(zip(splits, captions, strict=True)):
        sentences = []
        for place in range(count):
            text = f"A photo of thing {imgid}, seen {place} times. "
            sentences.append({"raw": text, "tokens": caption_words(text), "imgid": imgid, "sentid": sentid})
            sentid += 1
        images.append({"filename": f"img_{imgid}.jpg", "imgid": imgid, "split": split, "sentences": sentences})
    return images


def make_folder(root, images=None, *, gz=False, pictures=True, labels=True):
    root.mkdir(exist_ok=True)
    images = records() if images is None else images
    text = json.dumps({"dataset": "tiny", "images": images}).encode()
    name = root / ("dataset_tiny.json.gz" if gz else "dataset_tiny.json")
    name.write_bytes(gzip.compress(text) if gz else text)
    (root / "images").mkdir(exist_ok=True)
    for row, image in enumerate(images if pictures else []):
        picture = Image.new("RGB", (40, 30), (20 * row, 90, 200))
        picture.save(root / "images" / image["filename"])
    if labels:
        ids = [image["filename"].split(".")[0] for image in images]
        rows = np.eye(len(ids), 4, dtype=np.uint8)  # the last image has no category
        np.savez(root / "labels.npz", image_ids=ids, labels=rows)
    return root


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "tiny")


def test_restval_trains_unless_told_otherwise(folder):
    assert Karpathy(folder).split("train").image_ids == ("img_0", "img_1", "img_4")
    assert Karpathy(folder, use_restval=False).split("train").image_ids == ("img_0", "img_4")


def test_correspondence_follows_uneven_caption_counts(folder):
    train = Karpathy(folder).split("train")
    assert train.correspondence.caption_to_image.tolist() == [0] * 5 + [1] * 2 + [2] * 3
    assert train.captions[5] == "A photo of thing 1, seen 0 times."
    assert train.tokens[5] == ("a", "photo", "of", "thing", "1", "seen", "0", "times")


def test_a_caption_limit_keeps_the_first_ones_and_what_an_image_has(folder):
    train = Karpathy(folder, captions_per_image=3).split("train")
    assert train.caption_ids == ("100", "101", "102", "105", "106", "114", "115", "116")


@pytest.mark.parametrize("limit", [0, -1, "5", "five", True, 2.0])
def test_other_caption_limits_are_refused(folder, limit):
    with pytest.raises(UsageError, match="captions_per_image"):
        Karpathy(folder, captions_per_image=limit)


def test_gzip_and_the_path_of_the_json_read_the_same(folder, tmp_path):
    zipped = make_folder(tmp_path / "zipped", gz=True)
    prints = {Karpathy(root).split("train").fingerprint for root in (folder, zipped)}
    prints.add(load_dataset(folder / "dataset_tiny.json").split("train").fingerprint)
    assert len(prints) == 1


def test_the_fingerprint_sees_captions_labels_files_and_limits(folder, tmp_path):
    def changed(change):
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        change(copy)
        return Karpathy(copy).split("train").fingerprint

    def reworded(root):
        path = root / "dataset_tiny.json"
        path.write_text(path.read_text().replace("thing 0, seen 0", "thing 0, seen 9"))

    def relabelled(root):
        ids = [f"img_{row}" for row in range(5)]
        np.savez(root / "labels.npz", image_ids=ids, labels=np.ones((5, 4), dtype=np.uint8))

    def repainted(root):
        Image.new("RGB", (400, 300)).save(root / "images" / "img_0.jpg")

    def retouched(root):  # at the same size
        path = root / "images" / "img_0.jpg"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

    prints = [changed(change) for change in (lambda root: None, reworded, relabelled, repainted, retouched)]
    prints.append(Karpathy(folder, captions_per_image=1).split("train").fingerprint)
    assert prints[0] == Karpathy(folder).split("train").fingerprint
    assert len(set(prints)) == 6


def test_labels_are_joined_by_id_whatever_their_order(folder):
    wanted = Karpathy(folder).split("train").labels
    assert wanted.tolist() == [[True, *[False] * 3], [False, True, False, False], [False] * 4]
    archive = dict(np.load(folder / "labels.npz"))
    order = np.random.default_rng(0).permutation(5)
    extra = {"image_ids": np.append(archive["image_ids"][order], "unknown")}
    extra["labels"] = np.vstack((archive["labels"][order], [[1, 1, 1, 1]]))
    np.savez(folder / "labels.npz", **extra)
    assert (Karpathy(folder).split("train").labels == wanted).all()


def test_class_names_come_from_the_file_then_from_annotations(folder):
    assert Karpathy(folder).split("train").classes == ("class_0", "class_1", "class_2", "class_3")
    (folder / "annotations").mkdir()
    categories = [{"id": number, "name": f"name {number}"} for number in (9, 3, 1, 7)]
    (folder / "annotations" / "instances.json").write_text(json.dumps({"categories": categories}))
    assert Karpathy(folder).split("train").classes == ("name 1", "name 3", "name 7", "name 9")
    np.savez(folder / "labels.npz", **np.load(folder / "labels.npz"), classes=list("abcd"))
    assert Karpathy(folder).split("train").classes == ("a", "b", "c", "d")


def test_without_labels_there_are_none(tmp_path):
    train = Karpathy(make_folder(tmp_path / "tiny", labels=False)).split("train")
    assert train.labels is None
    assert train.classes == ()


def coco_record(filepath):
    return records(("test",), (1,))[0] | {
        "filename": "COCO_val2014_000000000042.jpg",
        "filepath": filepath,
        "cocoid": 42,
    }


@pytest.mark.parametrize(
    "place",
    [
        "images/COCO_val2014_000000000042.jpg",
        "images/000000000042.jpg",
        "val2014/COCO_val2014_000000000042.jpg",
        "images/val2014/COCO_val2014_000000000042.jpg",
        "COCO_val2014_000000000042.jpg",
    ],
)
def test_an_image_is_found_where_data_sets_put_it(tmp_path, place):
    root = make_folder(tmp_path / "coco", [coco_record("val2014")], pictures=False, labels=False)
    (root / place).parent.mkdir(exist_ok=True)
    Image.new("RGB", (8, 8)).save(root / place)
    test = Karpathy(root).split("test")
    assert test.image_paths == (root / place,)
    assert test.image_ids == ("42",)


def test_captions_load_without_images(tmp_path):
    train = Karpathy(make_folder(tmp_path / "tiny", pictures=False)).split("train")
    assert len(train.captions) == 10
    with pytest.raises(DataError, match=r"image img_0 has no file .*img_0\.jpg"):
        open_rgb(train.image_paths[0], train.image_ids[0])


def test_captions_without_a_number_are_numbered_within_their_image(tmp_path):
    images = records(("test", "test"), (2, 2))
    images[0]["sentences"][1]["sentid"] = images[1]["sentences"][0]["sentid"] = -1
    test = Karpathy(make_folder(tmp_path / "tiny", images)).split("test")
    assert test.caption_ids == ("100", "img_0#1", "img_1#0", "103")


def changed_record(row, **values):
    images = records()
    images[row] |= values
    return images


def changed_sentence(**values):
    images = records()
    images[3]["sentences"][1] |= values
    return images


BAD_RECORDS = {
    "image img_3 .* has no caption": changed_record(3, sentences=[]),
    "caption 1 of image img_3 .* has no text": changed_sentence(raw="  "),
    "caption 108 is under image img_3 .*belongs to imgid 0": changed_sentence(imgid=0, sentid=108),
    "caption id 100 occurs twice": changed_sentence(sentid=100),
    "image id img_0 occurs twice": changed_record(3, filename="img_0.jpg"),
    "image 3 .* has no filename": changed_record(3, filename=""),
    "image img_3 .* has no 'split'": changed_record(3, split=None),
    "it needs .*images": [],
}


@pytest.mark.parametrize("message", BAD_RECORDS)
def test_a_bad_record_is_named(tmp_path, message):
    root = make_folder(tmp_path / "tiny", BAD_RECORDS[message], pictures=False, labels=False)
    with pytest.raises(DataError, match=message) as caught:
        Karpathy(root).split("train")
    assert "dataset_tiny.json" in str(caught.value)


def test_an_empty_split_names_those_that_exist(folder):
    with pytest.raises(DataError, match=r"split 'minival' .*test \(1\), train \(3\), val \(1\)"):
        Karpathy(folder).split("minival")


def test_an_unknown_split_key_names_the_likely_ones(tmp_path):
    images = [image | {"mini_split": "test"} for image in records()]
    with pytest.raises(DataError, match="'fold'.*look like splits: mini_split, split"):
        Karpathy(make_folder(tmp_path / "tiny", images), split_key="fold").split("train")


def test_another_split_key_deals_the_images_anew(tmp_path):
    images = [image | {"mini_split": "test"} for image in records()]
    assert len(Karpathy(make_folder(tmp_path / "tiny", images), split_key="mini_split").split("test").image_ids) == 5


def test_expected_counts_are_checked(folder):
    assert Karpathy(folder, expected={"train": 3}).split("train")
    with pytest.raises(DataError, match="'test' .* has 1 images, expected 1000"):
        Karpathy(folder, expected={"test": 1000}).split("test")


def test_a_missing_folder_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match=r"no folder .*nowhere; prepare"):
        load_dataset(tmp_path / "nowhere")


def test_a_folder_without_json_or_with_two_is_refused(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no Karpathy JSON"):
        Karpathy(tmp_path / "empty")
    (folder / "dataset_other.json").write_text("{}")
    with pytest.raises(DataError, match=r"2 split files \(dataset_other.json, dataset_tiny.json\)"):
        Karpathy(folder)


@pytest.mark.parametrize("content", [b"{", b"", b"[1, 2]", b"\xff\xfe"])
@pytest.mark.parametrize("name", ["dataset_tiny.json", "dataset_tiny.json.gz"])
def test_an_invalid_json_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=name):
        Karpathy(tmp_path).split("train")


def test_a_truncated_gzip_is_named(tmp_path):
    root = make_folder(tmp_path / "tiny", gz=True)
    path = root / "dataset_tiny.json.gz"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"dataset_tiny.json.gz is not readable JSON"):
        Karpathy(root).split("train")


IDS = [f"img_{row}" for row in range(5)]
ROWS = np.zeros((5, 4), dtype=np.uint8)
BAD_LABELS = {
    r"shape \(4, 4\) for 5 image ids": {"image_ids": IDS, "labels": ROWS[:4]},
    r"no labels of 1 of 3 images, among them img_4": {"image_ids": IDS[:4], "labels": ROWS[:4]},
    r"1 image ids twice": {"image_ids": [*IDS[:4], "img_0"], "labels": ROWS},
    r"row 2 .* other than 0 and 1": {"image_ids": IDS, "labels": ROWS + 2 * (np.arange(5) == 2)[:, None]},
    r"no array 'image_ids'": {"labels": ROWS},
    r"names 2 classes for 4": {"image_ids": IDS, "labels": ROWS, "classes": ["a", "b"]},
}


@pytest.mark.parametrize("message", BAD_LABELS)
def test_a_bad_label_file_is_named(folder, message):
    np.savez(folder / "labels.npz", **BAD_LABELS[message])
    with pytest.raises(DataError, match=message) as caught:
        Karpathy(folder).split("train")
    assert "labels.npz" in str(caught.value)


def test_a_truncated_label_file_is_named(folder):
    path = folder / "labels.npz"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="labels.npz is damaged or of another form"):
        Karpathy(folder).split("train")


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "split", "key", "images", "captions", "density"),
    [
        ("coco_mini_images", "train", "mini_split", 115, 575, None),
        ("coco_mini_images", "val", "mini_split", 29, 145, None),
        ("coco_mini_images", "test", "mini_split", 42, 210, 0.338),
        ("coco_mini_images", "train", "split", 147, 735, None),
        ("flickr8k_mini", "train", "split", 530, 2650, None),
        ("flickr8k_mini", "val", "split", 74, 370, None),
        ("flickr8k_mini", "test", "split", 146, 730, None),
        ("coco_karpathy_test5k", "test", "split", 5000, 25010, 0.32878),
        ("flickr30k_karpathy", "test", "split", 1000, 5000, None),
    ],
)
def test_real_folders_have_the_counts_of_their_readme(data_dir, name, split, key, images, captions, density):
    read = Karpathy(data_dir / name, split_key=key, expected={split: images}).split(split)
    assert (len(read.image_ids), len(read.captions)) == (images, captions)
    assert len(set(read.caption_ids)) == captions
    assert np.bincount(read.correspondence.caption_to_image, minlength=images).min() >= 5
    if density is not None:
        shared = read.labels.astype(np.float32) @ read.labels.T.astype(np.float32) > 0
        assert shared.mean() == pytest.approx(density, abs=6e-4)
        assert read.classes[:2] == ("person", "bicycle")
