"""The embedded data set: the same for a seed, true to its pictures, hard and balanced as promised."""

import json
import os
import re
import subprocess
import sys
from itertools import permutations
from math import hypot
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from fico.datasets import load_dataset
from fico.datasets.shapes import shapes
from fico.datasets.shapes.captions import (
    BACKGROUND_WORDS,
    COLOUR_WORDS,
    KIND_WORDS,
    NUMBERS,
    PLACES,
    PLURALS,
    SIZE_WORDS,
)
from fico.datasets.shapes.render import render
from fico.datasets.shapes.scenes import (
    CLASSES,
    KINDS,
    SIDE,
    categories,
    draw_scene,
    vary_scene,
)
from fico.datasets.shapes.shapes import Shapes
from fico.errors import DataError, UsageError

SPLITS = ("train", "val", "test")
ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture(scope="module")
def small():
    return load_dataset("shapes", images=40, progress=False)


@pytest.fixture(scope="module")
def many_records():
    return list(Shapes(images=1000, seed=5).scenes())


def prints(dataset):
    return [dataset.split(name).fingerprint for name in SPLITS]


def test_a_seed_gives_the_same_data_set_anywhere(tmp_path):
    wanted = prints(Shapes(20, progress=False))
    assert prints(Shapes(20, root=tmp_path, progress=False)) == wanted
    assert prints(Shapes(20, seed=1, progress=False)) != wanted


def test_splits_have_the_promised_sizes_and_share_no_image(small):
    assert Shapes().counts == {"train": 2000, "val": 200, "test": 500}
    assert small.counts == {"train": 40, "val": 20, "test": 20}
    ids = [image for name in SPLITS for image in small.split(name).image_ids]
    assert len(ids) == len(set(ids)) == 80
    assert len(small.split("train").captions) == 200
    assert len(Shapes(40, captions_per_image=2, progress=False).split("val").captions) == 40


def test_what_lies_in_the_cache_is_a_karpathy_folder(small):
    train = small.split("train")
    assert load_dataset(small.root).split("train").captions == train.captions
    with Image.open(train.image_paths[0]) as picture:
        assert (picture.size, picture.mode) == ((96, 96), "RGB")


def test_the_files_hold_the_scenes_in_their_order(small):
    kept = [record for record in small.scenes() if record.split == "test"]
    test = small.split("test")
    assert test.image_ids == tuple(record.id for record in kept)
    assert test.captions == tuple(text for record in kept for text in record.captions)
    assert test.labels.tolist() == [categories(record.scene) for record in kept]


@pytest.mark.parametrize("broken", ["manifest.json", "images/shapes_000003.jpg"])
def test_a_broken_cache_is_made_again(tmp_path, broken):
    first = Shapes(20, root=tmp_path, progress=False)
    wanted = prints(first)
    (first.root / broken).unlink()
    again = Shapes(20, root=tmp_path, progress=False)
    assert prints(again) == wanted
    assert (again.root / broken).exists()
    assert [path.name for path in tmp_path.iterdir()] == [first.root.name], "temporary folders are left"


def test_an_altered_file_of_the_same_size_is_not_believed(tmp_path):
    first = Shapes(20, root=tmp_path, progress=False)
    wanted = prints(first)
    for name in ("dataset_shapes.json", "images/shapes_000003.jpg", "labels.npz"):
        path = first.root / name
        content = path.read_bytes()
        altered = content.replace(b'"raw": "', b'"raw": "x', 1)[: len(content)] if name.endswith("json") else None
        path.write_bytes(altered or content[:-9] + bytes(9))
        assert path.stat().st_size == len(content)
        assert prints(Shapes(20, root=tmp_path, progress=False)) == wanted
        assert path.read_bytes() == content


def test_processes_that_race_for_the_cache_get_the_same_whatever_their_hash_seed(tmp_path):
    """And none of them imports a framework for it."""
    code = (
        "import sys\nfrom fico.datasets.shapes.shapes import Shapes\n"
        f"print(Shapes(20, root={str(tmp_path)!r}).split('val').fingerprint)\n"
        "assert 'torch' not in sys.modules"
    )
    command = [sys.executable, "-c", code]
    runs = [
        subprocess.Popen(command, env=os.environ | {"PYTHONHASHSEED": salt}, cwd=ROOT, stdout=subprocess.PIPE)
        for salt in "12"
    ]
    outputs = {run.communicate()[0].decode().strip() for run in runs}
    assert [run.returncode for run in runs] == [0, 0]
    assert outputs == {Shapes(20, progress=False).split("val").fingerprint}
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("options", [{"images": 5}, {"images": "many"}, {"seed": -1}, {"seed": 0.5}])
def test_senseless_sizes_are_refused(options):
    with pytest.raises(UsageError, match=next(iter(options))):
        load_dataset("shapes", **options)


def test_an_unknown_split_names_those_that_exist(small):
    with pytest.raises(DataError, match=r"train \(40\)"):
        small.split("validation")


def test_categories_overlap_and_fall_off_as_in_photographs(many_records):
    labels = np.array([categories(record.scene) for record in many_records if record.split == "train"])
    shares = np.sort(labels.mean(axis=0))[::-1]
    density = (labels.astype(int) @ labels.T.astype(int) > 0).mean()
    assert len(CLASSES) == 20
    assert labels.any(axis=1).all()
    assert 0.28 < density < 0.42
    assert 1.9 < labels.sum(axis=1).mean() < 2.7
    assert shares[0] > 0.3
    assert 0.01 < shares[-1] < 0.07


def test_a_varied_scene_differs_from_its_model(many_records):
    random = Random(0)
    for _ in range(300):
        scene = draw_scene(random)
        varied = vary_scene(random, scene)
        assert varied != scene
        assert len(varied.things) == len(scene.things)


def test_near_duplicates_are_in_every_split(many_records):
    for split in SPLITS:
        places = [
            frozenset((thing.x, thing.y) for thing in record.scene.things)
            for record in many_records
            if record.split == split
        ]
        assert 0.2 < 1 - len(set(places)) / len(places) < 0.4


def test_nothing_touches_and_nothing_leaves_the_picture(many_records):
    for record in many_records:
        apart = record.scene.things[:-1] if record.scene.is_nested else record.scene.things
        for one, other in permutations(apart, 2):
            assert hypot(one.x - other.x, one.y - other.y) > one.radius + other.radius
        assert all(thing.radius <= min(thing.x, thing.y) for thing in apart)
        assert all(max(thing.x, thing.y) <= SIDE - thing.radius for thing in apart)


def test_a_thing_shows_in_its_colour_at_its_place(many_records):
    reds = 0
    for record in many_records[:700]:
        seen = record.scene.things[1:] if record.scene.is_nested else record.scene.things
        squares = [thing for thing in seen if (thing.kind, thing.colour, thing.texture) == ("square", "red", "plain")]
        if squares:
            pixels = np.asarray(render(np.random.default_rng(0), record.scene)).astype(int)
        for thing in squares:
            red, green, blue = pixels[round(thing.y), round(thing.x)]
            assert red > green + 60
            assert red > blue + 60
            reds += 1
    assert reds > 5


# The captions are read back by grammar, without the code that wrote them.


def reversed_words(table):
    return {word: meaning for meaning, words in table.items() for word in words}


KIND_OF = reversed_words(KIND_WORDS)
KIND_OF |= {PLURALS.get(word, f"{word}s"): kind for word, kind in KIND_OF.items()}
COLOUR_OF, SIZE_OF = reversed_words(COLOUR_WORDS), reversed_words(SIZE_WORDS)
NUMBER_OF = {word: number for number, word in enumerate(NUMBERS)} | {"a": 1, "an": 1}


def fitting(scene, phrase):
    """Things of the scene that a phrase such as "a large striped red circle" describes."""
    things = list(scene.things)
    for word in phrase.split()[1:]:
        if word in COLOUR_OF:
            things = [thing for thing in things if thing.colour == COLOUR_OF[word]]
        elif word in KIND_OF:
            things = [thing for thing in things if thing.kind == KIND_OF[word]]
        elif word in SIZE_OF:
            things = [thing for thing in things if thing.size == SIZE_OF[word]]
        elif word in ("striped", "dotted"):
            things = [thing for thing in things if thing.texture == word]
        else:
            assert word == "shape", f"unknown word {word!r} in {phrase!r}"
    return things


def objects_hold(scene, text):
    listed = re.sub("^(a picture of|there is|this shows) ", "", text).replace(" and ", ", ").split(", ")
    counts = [NUMBER_OF[phrase.split()[0]] for phrase in listed]
    return counts == [len(fitting(scene, phrase)) for phrase in listed] and sum(counts) == len(scene.things)


RELATIONS = {
    "inside|within": lambda a, b: hypot(a.x - b.x, a.y - b.y) < 1 and a.radius < b.radius / 1.5,
    "left of|to the left of": lambda a, b: b.x - a.x > abs(a.y - b.y),
    "right of|to the right of": lambda a, b: a.x - b.x > abs(a.y - b.y),
    "above|over|higher than": lambda a, b: b.y - a.y >= abs(a.x - b.x),
    "below|under|lower than": lambda a, b: a.y - b.y >= abs(a.x - b.x),
}


def relation_holds(scene, text):
    for words, is_true in RELATIONS.items():
        found = re.fullmatch(rf"(.+?) (?:is|lies|can be seen) (?:{words}) (an? .+)", text)
        if found:
            first, second = (fitting(scene, phrase) for phrase in found.groups())
            # "a circle is inside a red shape" is true the other way round for no pair
            return any(is_true(a, b) for a in first for b in second if a is not b)
    raise AssertionError(f"no relation in {text!r}")


def layout_holds(scene, text):
    places = {words: (column, row) for row, line in enumerate(PLACES) for column, words in enumerate(line)}
    for part in re.sub("^(there is|we see) ", "", text).split(" and "):
        phrase, place = next((part[: -len(words) - 1], places[words]) for words in places if part.endswith(words))
        ninths = [(int(thing.x // (SIDE / 3)), int(thing.y // (SIDE / 3))) for thing in fitting(scene, phrase)]
        if place not in ninths:
            return False
    return True


def background_holds(scene, text):
    opening, _, rest = text.partition(", ")
    number, _, ground = re.fullmatch(r"(\w+) (shapes|things|figures) on (.+)", opening).groups()
    is_true = NUMBER_OF[number] == len(scene.things) and ground in BACKGROUND_WORDS[scene.background]
    if rest:
        count, noun = re.fullmatch(r"(\w+) of them (?:an? )?(\w+)", rest).groups()
        wanted = len(scene.things) if count == "all" else NUMBER_OF[count]
        is_true &= wanted == sum(thing.kind == KIND_OF[noun] for thing in scene.things)
    return is_true


def detail_holds(scene, text):
    ending = " (somewhere in the picture|among other things|is part of the scene)$"
    return bool(fitting(scene, re.sub(ending, "", text)))


CHECKS = (objects_hold, relation_holds, layout_holds, background_holds, detail_holds)


def test_every_caption_is_true_of_its_scene(many_records):
    for record in many_records:
        for holds, text in zip(CHECKS, record.captions, strict=True):
            assert holds(record.scene, text), (text, record.scene)


def test_captions_of_other_scenes_are_mostly_false(many_records):
    """The check above can fail: read against the next scene, captions do not hold."""
    pairs = list(zip(many_records, many_records[1:], strict=False))[:300]
    for place, most in zip(range(5), (0.1, 0.3, 0.3, 0.1, 0.4), strict=True):
        true = [CHECKS[place](other.scene, record.captions[place]) for record, other in pairs]
        assert np.mean(true) < most


def test_every_kind_colour_and_category_is_spoken_of(many_records):
    words = set(" ".join(text for record in many_records for text in record.captions).replace(",", "").split())
    assert set(KIND_OF) <= words
    assert set(COLOUR_OF) | set(SIZE_OF) | {"striped", "dotted", "inside"} <= words
    assert set(KINDS) <= set(CLASSES)


def test_the_manifest_says_how_it_was_made(small):
    small.split("train")
    made = json.loads((small.root / "manifest.json").read_text())
    assert (made["images"], made["seed"], made["generator"]) == (40, 0, shapes.VERSION)
