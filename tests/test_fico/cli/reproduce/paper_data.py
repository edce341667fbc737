"""Folders of MS-COCO and Flickr30K as `fico prepare` and `fico features` leave them, of any size and of few pixels."""

import json
import os

import numpy as np
from PIL import Image

WIDTH, REGIONS, CLASSES = 8, 4, 80  # of features; paper: 2,048 or 4,096, and 36
BERT_WORDS, BERT_WIDTH = 4, 64  # of BERT's states; paper: 32 and 768
FULL = {
    "coco": {"train": 82_783, "restval": 30_504, "val": 5_000, "test": 5_000},
    "flickr30k": {"train": 29_000, "val": 1_014, "test": 1_000},
}
SIX = {"train": 312, "val": 10, "test": 10}  # images of COCO that have a sixth caption
SUBJECTS = ("man", "woman", "dog", "cat", "child", "boat", "bird", "horse", "train", "player")
VERBS = ("holds", "sees", "rides", "paints", "follows", "passes")
OBJECTS = ("a ball", "a tree", "the street", "a red car", "the sea", "a small table", "two people", "a bench")
PICTURES = 50  # different ones


def all_words():
    """Every word of the captions, and the mark at their end."""
    return sorted({".", "a", *SUBJECTS, *VERBS, *(word for thing in OBJECTS for word in thing.split())})


def write_dataset(folder, name, counts=None, seed=0):
    """A data set of the paper.

    Args:
        folder: Where to.
        name: ``coco`` or ``flickr30k``.
        counts: Images by split; the full ones if not given.
        seed: Of pictures, captions, labels and features.
    """
    rng = np.random.default_rng(seed)
    counts = counts or FULL[name]
    images = _records(name, counts, rng)
    folder.mkdir(parents=True)
    (folder / f"dataset_{name}.json").write_text(json.dumps({"dataset": name, "images": images}))
    _pictures(folder, images, name, rng)
    ids = [str(image["cocoid"]) if name == "coco" else image["filename"][:-4] for image in images]
    labels = rng.random((len(ids), CLASSES)) < 0.03
    labels[:, 0] |= rng.random(len(ids)) < 0.5  # "person" is in half of the images
    np.savez(folder / "labels.npz", image_ids=np.array(ids), labels=labels.astype(np.uint8))
    captions = [str(sentence["sentid"]) for image in images for sentence in image["sentences"]]
    _features(folder, ids, captions, rng, has_bert=name == "flickr30k")


def _records(name, counts, rng):
    records, sentence = [], 0
    for split, count in counts.items():
        for position in range(count):
            number = len(records)
            has_six = name == "coco" and position < SIX.get(split, 0)
            words = zip(*(rng.choice(part, 5 + has_six) for part in (SUBJECTS, VERBS, OBJECTS)), strict=True)
            sentences = []
            for subject, verb, thing in words:
                text = f"A {subject} {verb} {thing}."
                tokens = text.lower().rstrip(".").split()
                sentences.append({"raw": text, "tokens": tokens, "imgid": number, "sentid": sentence})
                sentence += 1
            record = {"imgid": number, "split": split, "sentences": sentences}
            record["sentids"] = [each["sentid"] for each in sentences]
            records.append(record | _file(name, split, number))
    return records


def _file(name, split, number):
    if name == "flickr30k":
        return {"filename": f"{1_000_000 + number}.jpg"}
    part = "train2014" if split == "train" else "val2014"
    return {"filename": f"COCO_{part}_{number:012d}.jpg", "filepath": part, "cocoid": number}


def _pictures(folder, images, name, rng):
    """A few small JPEGs, linked under every name."""
    drawn = folder / "drawn"
    drawn.mkdir()
    for number in range(PICTURES):
        pixels = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((16, 12)).save(drawn / f"{number}.jpg")
    for image in images:
        path = folder / image.get("filepath", "flickr30k-images") / image["filename"]
        path.parent.mkdir(exist_ok=True)
        os.link(drawn / f"{image['imgid'] % PICTURES}.jpg", path)


def _features(folder, ids, captions, rng, *, has_bert):
    shapes = {
        "vgg19": (ids, (WIDTH,)), "regions": (ids, (REGIONS, WIDTH)), "doc2vec": (captions, (WIDTH,)),
    }  # fmt: skip
    if has_bert:
        shapes["bert"] = captions, (BERT_WORDS, BERT_WIDTH)
    (folder / "features").mkdir()
    for kind, (names, shape) in shapes.items():
        path = folder / "features" / f"{kind}.npy"
        np.save(path, rng.standard_normal((len(names), *shape), dtype=np.float32))
        path.with_suffix(".json").write_text(json.dumps({"ids": names, "origin": "drawn at random"}))
