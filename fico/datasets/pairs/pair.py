"""One image-caption pair as a file gives it, and what every reader of pairs shares."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

IMAGE_SUFFIXES = frozenset([".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"])
SPLIT_WORDS = {
    **dict.fromkeys(("train", "training", "restval"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


@dataclass(frozen=True, slots=True)
class Pair:
    """An image and one of its captions.

    Args:
        image: What tells images apart; equal for all captions of an image.
        name: Short name of the image, from which its id is made: a path below the root, a key, ...
        path: The image file.
        caption: As written, without outer blanks.
        split: ``train``, ``val`` or ``test``; empty where the file does not say.
        origin: Where the pair stands, for messages: ``line 12 of captions.csv``.
    """

    image: str
    name: str
    path: Path
    caption: str
    split: str
    origin: str


def named_split(words: str) -> str:
    """The split that a file's name states, as ``coco_karpathy_val.json``; empty if none or several."""
    found = {SPLIT_WORDS[word] for word in re.split(r"[^a-z]+", words.lower()) if word in SPLIT_WORDS}
    return found.pop() if len(found) == 1 else ""


def caption_lines(text: str) -> list[str]:
    """The captions of a text file: one a line, without empty lines."""
    return [line.strip() for line in text.split("\n") if line.strip()]


def unique_ids(names: Sequence[str]) -> list[str]:
    """Names without the suffix of an image file; those that would be equal then keep it, or are counted."""
    stems = [str(Path(name).with_suffix("")) if Path(name).suffix.lower() in IMAGE_SUFFIXES else name for name in names]
    often, counts, ids = Counter(stems), Counter[str](), []
    for name, stem in zip(names, stems, strict=True):
        item = stem if often[stem] == 1 else name
        counts[item] += 1
        ids.append(item if counts[item] == 1 else f"{item} ({counts[item]})")
    return ids
