"""Captions as the University of Illinois releases them, and files that name the images of each split."""

import re
from collections.abc import Sequence
from pathlib import Path

from fico.datasets.karpathy.split_json import Caption, ImageRecord
from fico.datasets.words import caption_words
from fico.errors import DataError
from fico.formats.text import read_json, read_lines

_LINE = re.compile(r"(?P<file>[^#\t]+)#(?P<number>\d+)\t(?P<text>.*)")
_SPLITS = {"train": ("train",), "val": ("val", "dev"), "test": ("test",)}
_NAMES = ("{}.txt", "{}_images.txt", "flickr30k_{}.txt", "flickr8k_{}.txt", "Flickr_8k.{}Images.txt")


def read_tokens(path: Path) -> list[ImageRecord]:
    """Read captions, one a line: ``<file>.jpg#<number>``, a tab, the caption.

    The split of an image comes from the same folder: from ``splits.json`` (or ``.gz``), lists of file names by split,
    or from ``train.txt``, ``val.txt`` (or ``dev.txt``) and ``test.txt`` with one name a line. Images follow the order
    of those files, captions that of their numbers; an image in no split is left out.

    Args:
        path: The ``.token`` file.

    Returns:
        Images with captions, whose ids are ``<image id>#<number>``.

    Raises:
        DataError: A line is broken, a split file is missing or names an image twice or one without captions, or a
            caption's number occurs twice.
    """
    captions = _captions(path)
    records, placed = [], dict[str, str]()
    for split, names in _read_splits(path.parent).items():
        for name in names:
            image = Path(name).stem
            if image not in captions:
                raise DataError(f"image {name} of split {split} has no caption in {path}; take files of one release")
            if image in placed:
                raise DataError(f"image {name} is in the splits {placed[image]} and {split} of {path.parent}")
            placed[image] = split
            ordered = tuple(captions[image][number] for number in sorted(captions[image]))
            records.append(ImageRecord(image, f"{image}.jpg", "", None, split, ordered))
    return records


def _captions(path: Path) -> dict[str, dict[int, Caption]]:
    found: dict[str, dict[int, Caption]] = {}
    for line_number, line in enumerate(read_lines(path), start=1):
        match = _LINE.fullmatch(line)
        text = match["text"].strip() if match else ""
        if match is None or not text:
            raise DataError(f"line {line_number} of {path} is no '<file>.jpg#<number>', tab, caption: {line[:60]!r}")
        image, number = Path(match["file"]).stem, int(match["number"])
        numbered = found.setdefault(image, {})
        if number in numbered:
            raise DataError(f"line {line_number} of {path} gives caption {number} of {match['file']} a second time")
        numbered[number] = Caption(f"{image}#{number}", text, caption_words(text))
    return found


def _read_splits(folder: Path) -> dict[str, list[str]]:
    for path in (folder / "splits.json", folder / "splits.json.gz"):
        if path.is_file():
            return _from_json(path)
    found = {split: _find_list(folder, words) for split, words in _SPLITS.items()}
    if missing := [split for split, path in found.items() if path is None]:
        raise DataError(
            f"{folder} does not say which images are in the split {' and '.join(missing)}; put Karpathy's JSON there, "
            "or train.txt, val.txt and test.txt with one file name a line"
        )
    return {split: [name for name in read_lines(path) if name] for split, path in found.items() if path is not None}


def _find_list(folder: Path, words: Sequence[str]) -> Path | None:
    paths = (folder / name.format(word) for word in words for name in _NAMES)
    return next((path for path in paths if path.is_file()), None)


def _from_json(path: Path) -> dict[str, list[str]]:
    splits = read_json(path)
    try:
        return {str(split): [str(name) for name in names] for split, names in splits.items()}
    except (AttributeError, TypeError) as error:
        raise DataError(f'{path} is no {{"train": [file names], ...}} ({error}); make it again') from error
