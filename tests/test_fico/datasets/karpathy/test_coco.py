"""COCO, Flickr30K and Flickr8k: every layout of their folders, on tiny fakes and on the small real folders."""

import json
import random

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from fico.datasets import load_dataset
from fico.datasets.karpathy.coco_instances import find_instances, instance_labels
from fico.datasets.prepared import check_prepared
from fico.errors import DataError

# id: folder of the release of 2014, folder of that of 2017, split, captions, categories
COCO = {
    9: ("train2014", "train2017", "train", 5, (1, 90)),
    42: ("val2014", "train2017", "restval", 5, ()),
    391895: ("val2014", "val2017", "test", 6, (13,)),
    74: ("val2014", "train2017", "val", 5, (1,)),
    25: ("val2014", "val2017", "test", 5, (90, 13)),
}
NAMES = {13: "stop sign", 1: "person", 90: "toothbrush"}


def write_json(root, stem="dataset_coco", order=tuple(COCO)):
    images = []
    for number in order:
        folder, _, split, captions, _ = COCO[number]
        sentences = [{"raw": f" Thing {number}, {k}. \n", "sentid": number * 10 + k} for k in range(captions)]
        name = f"COCO_{folder}_{number:012d}.jpg"
        images.append({"filename": name, "filepath": folder, "cocoid": number, "split": split, "sentences": sentences})
    root.mkdir(parents=True, exist_ok=True)
    (root / f"{stem}.json").write_text(json.dumps({"images": images}))


def write_images(root, release, below="", order=tuple(COCO)):
    for number in order:
        old, new, *_ = COCO[number]
        name = f"COCO_{old}_{number:012d}.jpg" if release == 2014 else f"{number:012d}.jpg"
        path = root / below / (old if release == 2014 else new) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number % 256, 9, 9)).save(path)


def write_instances(root, release, shuffled=0):
    (root / "annotations").mkdir(exist_ok=True)
    for part in ("train", "val"):
        folder = f"{part}{release}"
        numbers = [n for n, (old, new, *_) in COCO.items() if folder in (old, new)]
        annotations = [
            {"image_id": n, "category_id": category, "id": place, "iscrowd": place % 2}
            for place, (n, category) in enumerate((n, c) for n in numbers for c in (*COCO[n][4], *COCO[n][4][:1]))
        ]
        random.Random(shuffled).shuffle(annotations)
        content = {
            "images": [{"id": n} for n in numbers],
            "annotations": annotations,
            "categories": [{"id": i, "name": name} for i, name in NAMES.items()],
        }
        (root / "annotations" / f"instances_{folder}.json").write_text(json.dumps(content))


def made(root, release=2014, below=""):
    write_json(root)
    write_images(root, release, below)
    write_instances(root, release)
    return root


@pytest.mark.parametrize("below", ["", "images"])
@pytest.mark.parametrize("release", [2014, 2017])
def test_both_releases_are_the_same_data_set(tmp_path, release, below):
    coco = load_dataset("coco", root=made(tmp_path / "c", release, below), expected={"train": 2, "val": 1, "test": 2})
    train, test = coco.split("train"), coco.split("test")
    assert train.image_ids == ("9", "42"), "restval trains"
    assert test.image_ids == ("391895", "25"), "in the order of the file"
    assert all(path.is_file() for split in (train, test) for path in split.image_paths)
    assert test.classes == ("person", "stop sign", "toothbrush")
    assert train.labels.astype(int).tolist() == [[1, 0, 1], [0, 0, 0]]
    assert test.labels.astype(int).tolist() == [[0, 1, 0], [0, 1, 1]]
    reference = load_dataset("coco", root=made(tmp_path / "reference"))
    assert test.fingerprint == reference.split("test").fingerprint


def test_images_are_found_by_their_number_wherever_they_lie(tmp_path):
    write_json(tmp_path)
    for number in COCO:  # the other year's part of the other release
        path = tmp_path / "val2017" / f"COCO_train2014_{number:012d}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
    assert all(path.is_file() for path in load_dataset("coco", root=tmp_path).split("test").image_paths)


@pytest.mark.parametrize("folder", ["", "caption_datasets", "karpathy", "annotations"])
def test_the_json_may_lie_where_people_unpack_it_beside_those_of_other_data_sets(tmp_path, folder):
    write_images(tmp_path, 2014)
    for stem in ("dataset_coco", "dataset_flickr8k", "dataset_flickr30k"):
        write_json(tmp_path / folder, stem)
    coco = load_dataset("coco", root=tmp_path)
    assert coco.json_path.name == "dataset_coco.json"
    assert coco.split("val").image_paths[0].is_file()
    check_prepared("coco", tmp_path)


def test_the_six_captions_are_cut_to_five_only_when_asked(tmp_path):
    made(tmp_path)
    every, five = (load_dataset("coco", root=tmp_path, captions_per_image=limit).split("test") for limit in ("all", 5))
    assert np.bincount(every.correspondence.caption_to_image).tolist() == [6, 5]
    assert five.captions == (*every.captions[:5], *every.captions[6:])
    assert every.captions[0] == "Thing 391895, 0."


def test_wrong_counts_of_images_or_captions_are_refused(tmp_path):
    made(tmp_path)
    with pytest.raises(DataError, match="has 2 images, expected 5000"):
        load_dataset("coco", root=tmp_path, expected={"test": 5000}).split("test")
    with pytest.raises(DataError, match=r"has 11 captions, expected 25010; .* dataset\.expected_captions"):
        load_dataset("coco", root=tmp_path, expected_captions={"test": 25010}, captions_per_image=5).split("test")


def test_shuffled_annotations_and_image_files_change_nothing(tmp_path):
    first = load_dataset("coco", root=made(tmp_path / "a")).split("test")
    write_json(tmp_path / "b")
    write_images(tmp_path / "b", 2014, order=tuple(COCO)[::-1])
    write_instances(tmp_path / "b", 2014, shuffled=7)
    assert load_dataset("coco", root=tmp_path / "b").split("test").fingerprint == first.fingerprint


def test_labels_follow_the_ids_when_the_split_file_is_reordered(tmp_path):
    made(tmp_path)
    before = load_dataset("coco", root=tmp_path).split("test")
    write_json(tmp_path, order=tuple(COCO)[::-1])
    after = load_dataset("coco", root=tmp_path).split("test")
    assert after.image_ids == before.image_ids[::-1]
    assert np.array_equal(after.labels, before.labels[::-1])
    assert after.fingerprint != before.fingerprint


def test_labels_are_read_again_when_the_annotations_change(tmp_path):
    made(tmp_path)
    files = find_instances(tmp_path)
    assert [file.name for file in files] == ["instances_train2014.json", "instances_val2014.json"]
    before = instance_labels(files).of(["9", "42"])
    content = json.loads(files[1].read_text())
    content["annotations"].append({"image_id": 42, "category_id": 13})
    files[1].write_text(json.dumps(content))
    assert instance_labels(files).of(["9", "42"]).sum() == before.sum() + 1


def test_labels_npz_goes_before_the_annotations(tmp_path):
    made(tmp_path)
    np.savez(tmp_path / "labels.npz", image_ids=list(COCO), labels=np.ones((5, 2), dtype=np.uint8), classes=["a", "b"])
    assert load_dataset("coco", root=tmp_path).split("test").classes == ("a", "b")


def spoil(change):
    def spoiled(root):
        file = root / "annotations" / "instances_val2014.json"
        content = json.loads(file.read_text())
        change(content)
        file.write_text(json.dumps(content))

    return spoiled


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (spoil(lambda c: c["images"].append({"id": 9})), "lists image 9, which"),
        (spoil(lambda c: c["categories"].pop()), "has other categories than"),
        (spoil(lambda c: c["annotations"].append({"image_id": 1, "category_id": 1, "id": 5})), "names image 1 and"),
        (spoil(lambda c: c.pop("annotations")), "holds no instance annotations of COCO"),
        (lambda root: (root / "annotations" / "instances_val2014.json").write_text("{"), "is not readable JSON"),
        (lambda root: (root / "annotations" / "instances_val2014.json").unlink(), "no labels of 2 of 2 images"),
    ],
)
def test_broken_annotations_are_named(tmp_path, change, message):
    made(tmp_path)
    change(tmp_path)
    with pytest.raises(DataError, match=message) as caught:
        load_dataset("coco", root=tmp_path).split("test")
    assert "instances" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_labels_without_ids_are_read_for_their_split_alone(tmp_path):
    write_json(tmp_path)
    rows = np.array([[1, 0, 1], [0, 1, 0]])
    savemat(tmp_path / "coco-karpathy-testall-lall.mat", {"LAll": rows})
    files = {"test": str(tmp_path / "coco-karpathy-testall-lall.mat")}
    coco = load_dataset("coco", root=tmp_path, label_files=files)
    assert np.array_equal(coco.split("test").labels, rows.astype(bool))
    assert coco.split("train").labels is None
    savemat(tmp_path / "coco-karpathy-testall-lall.mat", {"LAll": np.repeat(rows, 5, axis=0)})
    with pytest.raises(DataError, match="has 10 label rows for 2 images"):
        load_dataset("coco", root=tmp_path, label_files=files).split("test")


def test_a_folder_that_lacks_something_names_it_and_the_command(tmp_path):
    with pytest.raises(DataError, match=r"no such folder; run `fico prepare coco --root .*nowhere`"):
        check_prepared("coco", tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"captions and split \(dataset_coco.json\) and images \(train2014, val2014 or"):
        check_prepared("coco", tmp_path)
    write_json(tmp_path)
    with pytest.raises(DataError, match="missing images"):
        check_prepared("coco", tmp_path)
    (tmp_path / "features").mkdir()
    check_prepared("coco", tmp_path)


# Flickr

TOKENS = [f"{image}.jpg#{place}\tPhoto {image} ,  seen {place} ." for image in (30, 10, 20, 40) for place in range(5)]


def write_flickr(root, lines=TOKENS, name="results_20130124.token"):
    root.mkdir(exist_ok=True)
    (root / name).write_text("\n".join(lines) + "\n")
    for split, images in (("train", "20\n10\n"), ("val", "30.jpg\n"), ("test", "40")):
        (root / f"{split}.txt").write_text(images)
    return root


def test_token_files_and_split_lists_make_a_data_set(tmp_path):
    flickr = load_dataset("flickr30k", root=write_flickr(tmp_path))
    train = flickr.split("train")
    assert train.image_ids == ("20", "10"), "in the order of the split file"
    assert train.caption_ids[:6] == ("20#0", "20#1", "20#2", "20#3", "20#4", "10#0")
    assert train.captions[5] == "Photo 10 ,  seen 0 ."
    assert [len(flickr.split(name).image_ids) for name in ("val", "test")] == [1, 1]


@pytest.mark.parametrize("inside", ["\u2028", "\x85", "\x0c"])
def test_a_token_file_of_any_editor_is_the_same_data_set(tmp_path, inside):
    """Once a byte order mark cost the first image its first caption, and a line break of Unicode cut a caption."""
    plain = load_dataset("flickr30k", root=write_flickr(tmp_path / "plain")).split("train")
    other = write_flickr(tmp_path / "other")
    path = other / "results_20130124.token"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_text().replace(" ", inside).replace("\n", "\r\n").encode())
    found = load_dataset("flickr30k", root=other).split("train")
    assert found.caption_ids == plain.caption_ids
    assert found.captions == tuple(caption.replace(" ", inside) for caption in plain.captions)


def test_the_order_of_the_token_file_changes_nothing(tmp_path):
    before = load_dataset("flickr30k", root=write_flickr(tmp_path / "a")).split("train").fingerprint
    shuffled = random.Random(1).sample(TOKENS, len(TOKENS))
    assert load_dataset("flickr30k", root=write_flickr(tmp_path / "b", shuffled)).split("train").fingerprint == before


def test_flickr8k_reads_the_files_of_its_release(tmp_path):
    write_flickr(tmp_path, name="Flickr8k.token.txt")
    for split, name in (("train", "trainImages"), ("val", "devImages"), ("test", "testImages")):
        (tmp_path / f"{split}.txt").rename(tmp_path / f"Flickr_8k.{name}.txt")
    (tmp_path / "Flicker8k_Dataset").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "Flicker8k_Dataset" / "40.jpg")
    test = load_dataset("flickr8k", root=tmp_path).split("test")
    assert test.image_paths[0].is_file()
    check_prepared("flickr8k", tmp_path)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (TOKENS[:-1] + [TOKENS[0]], "gives caption 0 of 30.jpg a second time"),
        ([*TOKENS, "no tab here"], "line 21 of"),
        ([*TOKENS, "50.jpg#0\t  "], "line 21 of"),
        (TOKENS[:15], "image 40 of split test has no caption"),
    ],
)
def test_a_broken_token_file_is_named(tmp_path, lines, message):
    with pytest.raises(DataError, match=message):
        load_dataset("flickr30k", root=write_flickr(tmp_path, lines)).split("test")


def test_split_lists_must_be_there_and_apart(tmp_path):
    write_flickr(tmp_path)
    (tmp_path / "test.txt").write_text("40\n10\n")
    with pytest.raises(DataError, match="image 10 is in the splits train and test"):
        load_dataset("flickr30k", root=tmp_path).split("test")
    (tmp_path / "val.txt").unlink()
    with pytest.raises(DataError, match="does not say which images are in the split val"):
        load_dataset("flickr30k", root=tmp_path).split("test")


# The small real folders


def density(labels):
    return float((labels.astype(np.float32) @ labels.T.astype(np.float32) > 0).mean())


@pytest.mark.data
def test_the_5k_test_set_has_the_numbers_of_its_readme(data_dir):
    root, counts = data_dir / "coco_karpathy_test5k", {"test": 5000}
    test = load_dataset("coco", root=root, expected=counts, expected_captions={"test": 25010}).split("test")
    counted = np.bincount(test.correspondence.caption_to_image)
    assert np.bincount(counted)[5:].tolist() == [4990, 10]
    assert np.flatnonzero(counted == 6).tolist() == [83, 1272, 1499, 1727, 3045, 3066, 3879, 3993, 4219, 4767]
    held = test.labels.sum(axis=1)
    assert (int((held == 0).sum()), round(held.mean(), 3), round(held[held > 0].mean(), 3)) == (48, 2.863, 2.891)
    assert density(test.labels) == pytest.approx(0.32878, abs=5e-6)
    folds = [density(test.labels[1000 * fold : 1000 * fold + 1000]) for fold in range(5)]
    assert folds == pytest.approx([0.29500, 0.35626, 0.34292, 0.34046, 0.31473], abs=6e-6)
    assert (test.classes[0], test.classes[79]) == ("person", "toothbrush")
    assert len(load_dataset("coco", root=root, captions_per_image=5).split("test").captions) == 25000


@pytest.mark.data
def test_the_labels_of_all_images_have_the_numbers_of_their_readme(data_dir):
    from fico.datasets.labels import LabelFile

    labels = LabelFile(data_dir / "coco2014_labels" / "labels_packed.npz").labels
    assert labels.shape == (123287, 80)
    assert int(labels.any(axis=1).sum()) == 122218
    assert int(labels[:, 0].sum()) == 45174 + 21634


@pytest.mark.data
def test_the_mini_images_have_the_numbers_of_their_readme(data_dir):
    root = data_dir / "coco_mini_images"
    mini = load_dataset("coco", root=root, split_key="mini_split")
    splits = [mini.split(name) for name in ("train", "val", "test")]
    assert [len(split.image_ids) for split in splits] == [115, 29, 42]
    labels = np.concatenate([split.labels for split in splits])
    assert (round(labels.sum(axis=1).mean(), 2), int((~labels.any(axis=1)).sum())) == (3.65, 1)
    assert int(labels.any(axis=0).sum()) == 79
    assert round(density(labels), 3) == 0.307
    assert round(density(splits[2].labels), 3) == 0.338
    assert all(path.is_file() for split in splits for path in split.image_paths)
    from_annotations = instance_labels(find_instances(root))
    assert np.array_equal(from_annotations.of(splits[2].image_ids), splits[2].labels)
    assert from_annotations.classes == splits[2].classes


@pytest.mark.data
def test_the_flickr_folders_have_the_numbers_of_their_readmes(data_dir, tmp_path):
    test = load_dataset("flickr30k", root=data_dir / "flickr30k_karpathy", expected={"test": 1000}).split("test")
    assert len(test.captions) == 5000
    assert round(np.mean([len(tokens) for tokens in test.tokens]), 2) == 12.41
    mini = load_dataset("flickr8k", root=data_dir / "flickr8k_mini")
    assert [len(mini.split(name).image_ids) for name in ("train", "val", "test")] == [530, 74, 146]
    every = [tokens for name in ("train", "val", "test") for tokens in mini.split(name).tokens]
    assert (len(every), round(np.mean([len(tokens) for tokens in every]), 2)) == (3750, 11.05)
    assert all(path.is_file() for path in mini.split("test").image_paths)


@pytest.mark.data
def test_the_names_of_all_flickr30k_splits_pair_with_a_token_file(data_dir, tmp_path):
    source = data_dir / "flickr30k_karpathy" / "splits.json.gz"
    (tmp_path / source.name).write_bytes(source.read_bytes())
    from fico.datasets.karpathy.token_file import _read_splits

    names = [name for split in _read_splits(tmp_path).values() for name in split]
    lines = [f"{name}#0\tcaption of {name}" for name in names]
    (tmp_path / "results_20130124.token").write_text("\n".join(lines))
    flickr = load_dataset("flickr30k", root=tmp_path, expected={"train": 29000, "val": 1014, "test": 1000})
    assert len(flickr.split("train").captions) == 29000
    karpathy = load_dataset("flickr30k", root=data_dir / "flickr30k_karpathy").split("test")
    assert flickr.split("test").image_ids == karpathy.image_ids
