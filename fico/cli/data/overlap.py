"""``fico data overlap``: which images of one data set another one holds, by COCO's numbers and by what they show."""

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fico.datasets import image_datasets, load_dataset
from fico.datasets.base import RetrievalDataset
from fico.datasets.pairs.find_pairs import find_files
from fico.datasets.pairs.pair import IMAGE_SUFFIXES
from fico.errors import DataError, UsageError
from fico.formats.text import read_json
from fico.images.perceptual_hash import correlations, perceptual_hashes, thumbnail
from fico.util.progress import ProgressBar
from fico.util.resources import cores

# Over 936 photographs: re-encoded and resized copies differ in 4 bits at most, other images in 14 at least.
MOST_BITS, LEAST_CORRELATION = 8, 0.8
SPLITS = ("train", "val", "test")
BLOCK = 64  # images of A that are compared at once
_COCO = re.compile(r"(?:COCO_[a-z]+\d{4}_)?(\d{12})\.jpg")


@dataclass(frozen=True, slots=True)
class Match:
    """An image of A that B holds.

    Args:
        a: Id in A.
        b: Id in B.
        by: ``id``: the same COCO number; or ``content``.
        bits: In which the hashes differ; None where images were not compared.
    """

    a: str
    b: str
    by: str
    bits: int | None = None


@dataclass(frozen=True, slots=True)
class Overlap:
    """How much of A there is in B.

    Args:
        images: Of A and of B.
        matches: In the order of A; an image of A may match several.
        left_out: Why each other image file was not compared.
    """

    images: tuple[int, int]
    matches: tuple[Match, ...]
    left_out: tuple[str, ...]

    @property
    def held(self) -> int:
        """Images of A that B holds."""
        return len({match.a for match in self.matches})

    @property
    def fraction(self) -> float:
        """The same as a fraction of the images of A."""
        return self.held / self.images[0]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        pairs = [{"a": m.a, "b": m.b, "by": m.by, "bits": m.bits} for m in self.matches]
        counts = {"images_a": self.images[0], "images_b": self.images[1], "held": self.held, "fraction": self.fraction}
        return {**counts, "pairs": pairs, "left_out": list(self.left_out)}


def image_files(source: str, splits: str | None) -> dict[str, Path]:
    """The images of a data set by their ids.

    Args:
        source: ``NAME:ROOT``, a folder or file in Karpathy's form, any form of `fico.datasets.pairs.pairs.Pairs`, or a
            folder of images.
        splits: Names with commas; None: all.

    Raises:
        UsageError: Splits are named of a folder of images, which has none.
        DataError: There is nothing, or it has no such split.
    """
    dataset, root = _open(source), Path(source).expanduser()
    if dataset is None:
        if splits is not None:
            raise UsageError(
                f"{source} is a folder of images without captions and splits; leave out --split-a, --split-b"
            )
        files = sorted(path for path in root.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
        return {path.relative_to(root).as_posix(): path for path in files}
    images: dict[str, Path] = {}
    for name in SPLITS if splits is None else [name.strip() for name in splits.split(",")]:
        try:
            split = dataset.split(name)
        except DataError as error:
            if splits is not None or "has no images" not in str(error):
                raise
        else:
            images |= dict(zip(split.image_ids, split.image_paths, strict=True))
    return images


def _open(source: str) -> RetrievalDataset | None:
    """The data set; None for a folder of images alone."""
    name, _, root = source.partition(":")
    if name in image_datasets():
        return load_dataset(name, root=root) if root else load_dataset(name)
    path = Path(source).expanduser()
    is_json = path.is_file() and path.name.lower().endswith((".json", ".json.gz"))
    if any(path.glob("dataset*.json*")) or (is_json and "images" in read_json(path)):
        return load_dataset(path)
    has_texts = path.is_dir() and any(file.with_suffix(".txt").is_file() for file in path.rglob("*.jp*g"))
    return load_dataset("pairs", root=path) if find_files(path) or has_texts else None


def find_overlap(a: Mapping[str, Path], b: Mapping[str, Path], *, most_bits: int = MOST_BITS) -> Overlap:
    """Compare two sets of images.

    Args:
        a: Files by id.
        b: Files by id.
        most_bits: Hashes of copies differ in at most so many of 63 bits.

    Raises:
        DataError: One of the sets is empty.
    """
    for name, files in (("A", a), ("B", b)):
        if not files:
            raise DataError(f"{name} holds no images; give a data set or a folder with some")
    numbers = {number: item for item, path in b.items() if (number := _coco_number(path))}
    by_id = [Match(item, numbers[n], "id") for item, path in a.items() if (n := _coco_number(path)) in numbers]
    known, left_out = {(match.a, match.b) for match in by_id}, list[str]()
    shown_a, shown_b = _thumbnails(a, "A", left_out), _thumbnails(b, "B", left_out)
    by_content = [match for match in _matches(shown_a, shown_b, most_bits) if (match.a, match.b) not in known]
    order = {item: row for row, item in enumerate(a)}
    matches = sorted([*by_id, *by_content], key=lambda match: order[match.a])
    return Overlap((len(a), len(b)), tuple(matches), tuple(left_out))


def _coco_number(path: Path) -> str:
    found = _COCO.fullmatch(path.name)
    return found[1] if found else ""


Thumbnails = tuple[list[str], np.ndarray]  # ids, and images x 32 x 32


def _thumbnails(files: Mapping[str, Path], name: str, left_out: list[str]) -> Thumbnails:
    ids, found = [], []
    with ThreadPoolExecutor(cores()) as readers, ProgressBar(len(files), f"Reading images of {name}") as bar:
        for item, read in zip(files, readers.map(_read, files.values(), files), strict=True):
            if isinstance(read, str):
                left_out.append(read)
            else:
                ids.append(item)
                found.append(read)
            bar.advance()
    return ids, np.stack(found) if found else np.zeros((0, 32, 32), np.uint8)


def _read(path: Path, item: str) -> np.ndarray | str:
    try:
        return thumbnail(path, item)
    except DataError as error:
        return str(error)


def _matches(a: Thumbnails, b: Thumbnails, most_bits: int) -> Sequence[Match]:
    (ids_a, shown_a), (ids_b, shown_b) = a, b
    hashes_a, hashes_b = perceptual_hashes(shown_a), perceptual_hashes(shown_b)
    found = []
    for start in range(0, len(ids_a), BLOCK):
        bits = np.bitwise_count(hashes_a[start : start + BLOCK, None] ^ hashes_b)
        rows, columns = np.nonzero(bits <= most_bits)
        alike = correlations(shown_a[start + rows], shown_b[columns]) >= LEAST_CORRELATION
        found += [
            Match(ids_a[start + row], ids_b[column], "content", int(bits[row, column]))
            for row, column in zip(rows[alike].tolist(), columns[alike].tolist(), strict=True)
        ]
    return found
