"""``fico prepare`` against a server on the loopback address that has a tiny COCO and a tiny Flickr30K."""

import io
import json
import shutil
import tarfile
import threading
import zipfile
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from fico.cli.app import app
from fico.cli.data.prepare import prepare
from fico.datasets import load_dataset
from fico.datasets.download.archives import unpack
from fico.datasets.recipes import all_recipes
from fico.datasets.recipes.recipe import Licensed, Source
from fico.errors import DataError, UsageError

RECIPES = all_recipes()
ROOT = Path(__file__).resolve().parents[4]
PARTS = {
    "train": ("train2014", range(1, 5)),
    "restval": ("val2014", (5,)),
    "val": ("val2014", (6,)),
    "test": ("val2014", (7, 8)),
}
CATEGORIES = [{"id": 3, "name": "car"}, {"id": 1, "name": "person"}]


def picture():
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 30, 30)).save(buffer, "JPEG")
    return buffer.getvalue()


def karpathy(named, parts):
    images = []
    for split, (folder, numbers) in parts.items():
        for number in numbers:
            sentences = [{"raw": f"thing {number} {k}", "sentid": 10 * number + k} for k in range(5)]
            image = {"filename": named(folder, number), "split": split, "sentences": sentences}
            images.append(image | ({"filepath": folder, "cocoid": number} if folder else {}))
    return json.dumps({"images": images})


def instances(folder, numbers):
    held = [{"id": number, "image_id": number, "category_id": 3} for number in numbers if number != 8]
    held += [{"id": 100, "image_id": numbers[0], "category_id": 1, "iscrowd": 1}]
    return json.dumps({"images": [{"id": n} for n in numbers], "annotations": held, "categories": CATEGORIES})


def zipped(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def coco_name(folder, number):
    return f"COCO_{folder}_{number:012d}.jpg"


@pytest.fixture
def server(tmp_path):
    """The archives of the official servers, small; gives the address and the folder that is served."""
    folder = tmp_path / "served"
    folder.mkdir()
    texts = {
        "dataset_coco.json": karpathy(coco_name, PARTS),
        "dataset_flickr30k.json": karpathy(
            lambda _, number: f"{number}.jpg", {"train": ("", (1, 2)), "val": ("", (3,)), "test": ("", (4,))}
        ),
        "dataset_flickr8k.json": "not wanted",
    }
    zipped(folder / "caption_datasets.zip", texts | {"__MACOSX/._dataset_coco.json": "junk"})
    annotations = {}
    for part, numbers in (("train", range(1, 5)), ("val", range(5, 9))):
        name = f"{part}2014"
        annotations[f"annotations/instances_{name}.json"] = instances(name, list(numbers))
        annotations[f"annotations/captions_{name}.json"] = "{}"
        annotations[f"annotations/person_keypoints_{name}.json"] = "big and not wanted"
        zipped(folder / f"{name}.zip", {f"{name}/{coco_name(name, number)}": picture() for number in numbers})
    zipped(folder / "annotations_trainval2014.zip", annotations)
    handler = partial(Quiet, directory=str(folder))
    made = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{made.server_port}", folder
    made.shutdown()
    made.server_close()


class Quiet(SimpleHTTPRequestHandler):
    asked: list[str] = []

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self.asked.append(self.path)
        super().do_GET()


def recipe(name, address, **changes):
    """The official recipe with the counts of the tiny data set and without its checksums."""
    counts = {"train2014": 4, "val2014": 4}
    sources = tuple(
        Source(f"{address}/{s.name}", 1000, 1000, s.wanted, s.folder, counts.get(s.folder, 0))
        for s in RECIPES[name].sources
    )
    images = {"train": 5, "val": 1, "test": 2} if name == "coco" else {"train": 2, "val": 1, "test": 1}
    changed = {"images": images, "captions": {}} | changes
    return replace(RECIPES[name], sources=sources, licence="free", **changed)


def run(name, root, address, **options):
    lines = []
    changes = options.pop("changes", {})
    prepare(name, root, echo=lines.append, recipes={name: recipe(name, address, **changes)}, **options)
    return lines


def test_one_command_makes_a_data_set_that_loads(server, tmp_path):
    root = tmp_path / "coco"
    lines = run("coco", root, server[0])
    dataset = load_dataset("coco", root=root)
    train, test = dataset.split("train"), dataset.split("test")
    assert (len(train.image_ids), len(test.captions)) == (5, 10)
    assert all(path.is_file() for path in (*train.image_paths, *test.image_paths))
    assert test.classes == ("person", "car"), "in ascending order of the category ids"
    assert test.labels.astype(int).tolist() == [[0, 1], [0, 0]]
    assert "train: 5 images, 25 captions, 1.400 labels an image" in lines
    assert f"{root} is complete" in lines
    names = {path.name for path in root.iterdir()}
    assert names == {"dataset_coco.json", "annotations", "train2014", "val2014", "labels.npz"}
    assert not (root / "annotations" / "person_keypoints_val2014.json").exists()


def test_a_second_run_fetches_nothing_and_a_gap_is_filled(server, tmp_path):
    root = tmp_path / "coco"
    run("coco", root, server[0])
    Quiet.asked.clear()
    assert f"{root}: nothing is left to download" in run("coco", root, server[0])
    assert Quiet.asked == []
    gone = root / "val2014" / coco_name("val2014", 7)
    gone.unlink()
    gone.with_name(f".{gone.name}.part").write_bytes(b"half")
    assert f"{root} is complete" in run("coco", root, server[0])
    assert Quiet.asked == ["/val2014.zip"]
    assert gone.is_file()
    assert not list((root / "val2014").glob(".*"))


def test_a_damaged_archive_is_named_and_the_rest_is_kept(server, tmp_path):
    address, folder = server
    whole = (folder / "val2014.zip").read_bytes()
    (folder / "val2014.zip").write_bytes(whole[:-200])
    with pytest.raises(DataError, match=r"val2014\.zip is damaged or no archive .* run this command once more"):
        run("coco", tmp_path / "coco", address)
    (folder / "val2014.zip").write_bytes(whole)
    assert f"{tmp_path / 'coco'} is complete" in run("coco", tmp_path / "coco", address)


def test_a_changed_byte_in_an_archive_is_found(server, tmp_path):
    content = bytearray((server[1] / "val2014.zip").read_bytes())
    content[120] ^= 255
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DataError, match="Bad CRC-32"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.part"))


def test_wrong_counts_are_refused(server, tmp_path):
    with pytest.raises(DataError, match="has 5 images, expected 113287"):
        run("coco", tmp_path / "coco", server[0], changes={"images": RECIPES["coco"].images})


def test_a_missing_archive_says_how_to_go_on(server, tmp_path):
    (server[1] / "train2014.zip").unlink()
    with pytest.raises(DataError, match=r"train2014\.zip answers 404 .* by hand") as caught:
        run("coco", tmp_path / "coco", server[0])
    assert "\n" not in str(caught.value)


def test_an_archive_put_there_by_hand_is_used_and_stays(server, tmp_path):
    address, folder = server
    root = tmp_path / "coco"
    root.mkdir()
    shutil.move(folder / "train2014.zip", root)
    assert f"{root} is complete" in run("coco", root, address)
    assert (root / "train2014.zip").is_file()


def test_images_of_the_release_of_2017_are_not_fetched_again(server, tmp_path):
    root = tmp_path / "coco"
    changes = {"same_images": {"train2017": 6, "val2017": 2}}
    for number in range(1, 9):
        path = root / ("val2017" if number in (2, 7) else "train2017") / f"{number:012d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture())
    Quiet.asked.clear()
    assert f"{root} is complete" in run("coco", root, server[0], changes=changes)
    assert sorted(Quiet.asked) == ["/annotations_trainval2014.zip", "/caption_datasets.zip"]
    there = load_dataset("coco", root=root).split("train").image_paths
    assert [path.parent.name for path in there] == ["train2017", "val2017", *["train2017"] * 3]


def test_annotations_alone_need_no_images(server, tmp_path):
    lines = run("coco", tmp_path / "coco", server[0], annotations_only=True)
    assert "test: 2 images, 10 captions, 0.500 labels an image" in lines
    assert not (tmp_path / "coco" / "train2014").exists()


def test_a_disk_that_is_too_small_is_refused_before_anything_is_fetched(server, tmp_path, monkeypatch):
    Quiet.asked.clear()
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10**6}))
    with pytest.raises(DataError, match=r"needs up to .* and its disk has 1\.0 MB free; free some"):
        run("coco", tmp_path / "coco", server[0])
    assert Quiet.asked == []


def test_images_under_licence_are_asked_for_and_then_unpacked(server, tmp_path):
    root = tmp_path / "flickr30k"
    with pytest.raises(
        DataError, match=r"request them at https://forms\.illinois\.edu.* put flickr30k-images\.tar\.gz"
    ):
        run("flickr30k", root, server[0])
    assert len(load_dataset("flickr30k", root=root).split("train").captions) == 10, "captions are there already"
    with tarfile.open(root / "flickr30k-images.tar.gz", "w:gz") as archive:
        for number in range(1, 5):
            item = tarfile.TarInfo(f"flickr30k-images/{number}.jpg")
            item.size = len(picture())
            archive.addfile(item, io.BytesIO(picture()))
    assert f"{root} is complete" in run("flickr30k", root, server[0])
    assert f"{root} is complete" in run("flickr30k", root, server[0])
    (root / "flickr30k-images" / "4.jpg").unlink()
    (root / "flickr30k-images.tar.gz").unlink()
    with pytest.raises(DataError, match="of its 31,783 images 3"):
        run("flickr30k", root, server[0])


def test_an_archive_may_not_lead_out_of_the_folder(tmp_path):
    zipped(tmp_path / "a.zip", {"../outside.txt": "x"})
    with pytest.raises(DataError, match="leads out of"):
        unpack(tmp_path / "a.zip", tmp_path / "in")
    assert not (tmp_path / "outside.txt").exists()


def test_other_names_are_wrong_usage(tmp_path):
    with pytest.raises(UsageError, match="only coco, flickr30k, flickr8k"):
        prepare("imagenet", tmp_path, echo=print)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_expects_what_the_config_expects(name):
    config = yaml.safe_load((ROOT / "conf" / "dataset" / f"{name}.yaml").read_text())
    assert (config["expected"], config["expected_captions"]) == (RECIPES[name].images, RECIPES[name].captions)
    assert config["root"] == f"data/{name}", "where the command puts it"


def test_the_command_takes_a_mirror_and_ends_with_one_sentence(server, tmp_path):
    split = karpathy(lambda _, number: f"{number}.jpg", {"train": ("", (1,))})
    zipped(server[1] / "caption_datasets.zip", {"dataset_flickr8k.json": split})
    done = CliRunner().invoke(app, ["prepare", "flickr8k", "--root", str(tmp_path / "f8"), "--mirror", server[0]])
    assert done.exit_code == 1
    told = [line for line in done.output.splitlines() if line.startswith("fico: ")]
    assert len(told) == 1
    assert "has 1 images, expected 6000" in told[0]


def test_wrong_checksums_of_the_official_archives_are_found(server, tmp_path):
    done = CliRunner().invoke(app, ["prepare", "coco", "--root", str(tmp_path / "c"), "--mirror", server[0]])
    assert done.exit_code == 1
    assert "another checksum than published (md5:" in done.output


def test_the_reader_of_licensed_names_is_complete():
    assert all(isinstance(RECIPES[name].licensed, Licensed) for name in ("flickr30k", "flickr8k"))
    assert np.isclose(sum(source.download_bytes for source in RECIPES["coco"].sources), 20.4e9, rtol=0.01)


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DataError, match=r"cannot be written .*; give another folder as --root"):
        prepare("coco", tmp_path / "file" / "coco", echo=print)


def test_a_file_of_another_size_is_unpacked_again_and_a_whole_one_stays(tmp_path):
    zipped(tmp_path / "a.zip", {"in/a.txt": "whole", "in/b.txt": "whole"})
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("hal")
    (tmp_path / "in" / "b.txt").write_text("stays")
    assert unpack(tmp_path / "a.zip", tmp_path) == 2
    assert [(tmp_path / "in" / f"{name}.txt").read_text() for name in "ab"] == ["whole", "stays"]
