"""``fico data overlap``: copies of pictures are counted in any form of data set, and missing files are told."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from fico.cli.app import app
from fico.cli.data.overlap import find_overlap, image_files


def picture(seed):
    rough = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(rough).resize((96, 72), Image.Resampling.BICUBIC)


@pytest.fixture
def two(tmp_path):
    """A table of pictures 0 to 9 and a folder of pictures 8 to 14, smaller and re-encoded."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    rows = ["image,caption,split"]
    for seed in range(10):
        picture(seed).save(tmp_path / "a" / f"{seed}.png")
        rows.append(f"{seed}.png,about {seed},{'test' if seed > 4 else 'train'}")
    (tmp_path / "a" / "x.csv").write_text("\n".join(rows))
    for seed in range(8, 15):
        picture(seed).resize((60, 45)).save(tmp_path / "b" / f"copy{seed}.jpg", quality=60)
    return tmp_path


def overlap(*words):
    return CliRunner().invoke(app, ["data", "overlap", *map(str, words)])


def test_copies_are_listed_and_counted(two):
    told = overlap(two / "a", two / "b", "--split-a", "test")
    assert told.exit_code == 0, told.output
    assert "8  copy8.jpg  " in told.stdout
    assert told.stdout.endswith(f"{two / 'b'} holds 2 of the 5 images of {two / 'a'} (40.0%)\n")
    short = overlap(two / "a" / "x.csv", two / "b", "--pairs", 1).stdout
    assert "... 2 pairs in all; --json lists them" in short
    assert "2 of the 10 images" in short


def test_json_holds_every_pair(two):
    found = json.loads(overlap(two / "b", two / "a", "--json", "--split-b", "train,val,test").stdout)
    assert (found["images_a"], found["images_b"], found["held"]) == (7, 10, 2)
    assert found["fraction"] == pytest.approx(2 / 7)
    assert [(pair["a"], pair["b"], pair["by"]) for pair in found["pairs"]] == [
        ("copy8.jpg", "8", "content"),
        ("copy9.jpg", "9", "content"),
    ]


def test_an_overlap_above_a_limit_ends_with_1(two):
    assert overlap(two / "a", two / "b", "--fail-above", 0.2).exit_code == 0
    told = overlap(two / "a", two / "b", "--fail-above", 0.1)
    assert told.exit_code == 1
    assert "more than 10.0%; take them out" in told.stderr


def test_coco_images_match_by_number_in_both_releases_without_their_files(tmp_path):
    a = {"391895": tmp_path / "COCO_val2014_000000391895.jpg", "7": tmp_path / "COCO_train2014_000000000007.jpg"}
    found = find_overlap(a, {"x": tmp_path / "000000391895.jpg", "y": tmp_path / "1391895.jpg"})
    assert [(match.a, match.b, match.by) for match in found.matches] == [("391895", "x", "id")]
    assert found.fraction == 0.5
    assert len(found.left_out) == 4


def test_broken_pictures_are_told_and_left_out(two):
    (two / "b" / "broken.jpg").write_bytes(b"no image")
    told = overlap(two / "a", two / "b")
    assert told.exit_code == 0
    assert "not compared by content: image broken.jpg:" in told.stderr


def test_a_karpathy_folder_a_name_and_wrong_usage(two, tmp_path_factory):
    folder = tmp_path_factory.mktemp("k")
    (folder / "images").mkdir()
    picture(3).save(folder / "images" / "three.png")
    entry = {"filename": "three.png", "split": "test", "sentences": [{"raw": "three"}]}
    (folder / "dataset_k.json").write_text(json.dumps({"images": [entry]}))
    for source in (folder, folder / "dataset_k.json", f"karpathy:{folder}"):
        assert list(image_files(str(source), None)) == ["three"]
    assert "1 of the 1 images" in overlap(folder, f"pairs:{two / 'a'}").stdout
    assert overlap(two / "b", two / "a", "--split-a", "test").exit_code == 2
    assert "there is no file or folder" in overlap(two / "nowhere", two / "a").stderr
    (two / "empty").mkdir()
    assert "A holds no images" in overlap(two / "empty", two / "a").stderr
