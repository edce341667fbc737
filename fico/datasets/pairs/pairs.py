"""Plain pairs of images and captions, in the forms that people have them in."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from fico.correspondence import Correspondence
from fico.datasets.base import CaptionsPerImage, RetrievalSplit, SplitReader, check_captions_per_image
from fico.datasets.feature_sets.fingerprint import fingerprint
from fico.datasets.labels import LabelFile
from fico.datasets.pairs.columns import ColumnNames
from fico.datasets.pairs.find_pairs import find_files, read_file, split_of_file
from fico.datasets.pairs.pair import SPLIT_WORDS, Pair, unique_ids
from fico.datasets.pairs.text_files import read_folder
from fico.datasets.splits import hash_order
from fico.datasets.words import caption_words
from fico.errors import DataError, UsageError
from fico.util.digests.cached import file_digests


@dataclass(slots=True)
class PairedImage:
    """An image with its captions in the order of the file."""

    id: str
    path: Path
    split: str
    captions: list[str] = field(default_factory=list)


class Pairs(SplitReader):
    """Images and captions of a table, an archive or a folder, and perhaps ``labels.npz`` in the folder.

    Read are CSV and TSV with a header (Kaggle's ``captions.txt`` too), JSON lines, a JSON list of objects (BLIP, ALBEF)
    or an object of captions by image file, Parquet with paths or images, tars in the layout of webdataset, and a folder
    of images with a ``.txt`` of captions beside each. Rows with the same image are its captions; images and captions
    keep the order of the file. The id of an image is its path without suffix.

    Splits come from a column, from the names of several files or from first folders (``train``, ``val`` or ``dev``,
    ``test``). What has no split is for training; of ``val`` and ``test`` a split that is missing is drawn from the
    training images, and the notes of the split say so.

    Args:
        root: The file, or the folder.
        image_column: Column with the path of the image, or with the image; None: found by its usual names.
        caption_column: Column with a caption or a list of captions; None: likewise.
        split_column: Column with the split; None: likewise.
        image_root: Folder of the images; None: that of the file, or ``images/`` in it. Nothing outside of it is read.
        captions_per_image: ``"all"``, or an integer to keep only that many of each image, in the order of the file.
        val: Fraction of the images to validate on, where no split says which.
        test: Fraction of the images to test on, where no split says which.
        seed: Of the images that are drawn; not the run's seed.
        name: Name of the data set in results.

    Raises:
        UsageError: ``captions_per_image``, ``val``, ``test`` or ``seed`` has an invalid value.
        DataError: There is no such file or folder, or no file of pairs in it, or several.
    """

    def __init__(
        self,
        root: str | Path,
        image_column: str | None = None,
        caption_column: str | None = None,
        split_column: str | None = None,
        image_root: str | Path | None = None,
        captions_per_image: CaptionsPerImage = "all",
        val: float = 0.1,
        test: float = 0.1,
        seed: int = 0,
        name: str = "pairs",
    ) -> None:
        check_captions_per_image(captions_per_image)
        if not (0 <= val < 1 and 0 <= test < 1 and val + test < 1):
            raise UsageError(f"dataset.val is {val} and dataset.test is {test}; give fractions that sum to less than 1")
        given = Path(root).expanduser()
        self.files = find_files(given)
        super().__init__(given if given.is_dir() else given.parent, name)
        self.columns = ColumnNames(*(given and str(given) for given in (image_column, caption_column, split_column)))
        self.image_root = self.root if image_root is None else Path(image_root).expanduser()
        self.captions_per_image = captions_per_image
        self.fractions = {"test": test, "val": val}
        self.seed = seed
        self.notes: list[str] = []

    @cached_property
    def _images(self) -> dict[str, list[PairedImage]]:
        """Images by split; fills the notes."""
        pairs = (pair for file in self.files for pair in self._read(file)) if self.files else read_folder(self.root)
        images, duplicates = _grouped(pairs)
        if duplicates:
            self.notes.append(f"{duplicates:,} rows that repeat image and caption were left out")
        self._draw(images)
        splits: dict[str, list[PairedImage]] = {}
        for image in images:
            splits.setdefault(image.split, []).append(image)
        return splits

    def _read(self, file: Path) -> Iterator[Pair]:
        """The pairs of a file; where there are several, its name may state the split."""
        split = split_of_file(file, self.root) if len(self.files) > 1 else ""
        return read_file(file, self.columns, self.image_root, split)

    def _draw(self, images: Sequence[PairedImage]) -> None:
        """Move training images to the splits that no image states, in the order of their hashed ids."""
        stated = {image.split for image in images}
        training = [image for image in images if image.split == "train"]
        order, taken = hash_order([image.id for image in training], f"pairs {self.seed}"), 0
        for split, fraction in self.fractions.items():
            count = 0 if split in stated or fraction == 0 else max(1, round(fraction * len(training)))
            for row in order[taken : taken + count]:
                training[row].split = split
            taken += count
            if count:
                self.notes.append(
                    f"split {split}: the files assign no image to it; {count:,} of their {len(training):,} training "
                    f"images were drawn by hashed ids, seed {self.seed}"
                )

    @cached_property
    def _labels(self) -> LabelFile | None:
        path = self.root / "labels.npz"
        return LabelFile(path) if path.exists() else None

    def _read_split(self, name: str) -> RetrievalSplit:
        images = self._images.get(name, [])
        self._check(name, images)
        kept = None if self.captions_per_image == "all" else self.captions_per_image
        captions = [
            (row, number, text) for row, image in enumerate(images) for number, text in enumerate(image.captions[:kept])
        ]
        ids = tuple(image.id for image in images)
        texts, image_rows = tuple(text for *_, text in captions), [row for row, *_ in captions]
        labels = None if self._labels is None else self._labels.of(ids)
        classes = () if self._labels is None else self._labels.classes
        digests = file_digests([image.path for image in images], label=f"Reading the {name} images for the fingerprint")
        return RetrievalSplit(
            dataset=self.name,
            name=name,
            image_ids=ids,
            image_paths=tuple(image.path for image in images),
            caption_ids=tuple(f"{ids[row]}#{number}" for row, number, _ in captions),
            captions=texts,
            tokens=tuple(map(caption_words, texts)),
            correspondence=Correspondence(image_rows),
            labels=labels,
            classes=classes,
            fingerprint=fingerprint((ids, digests, texts, image_rows, classes), (), labels),
            label_origin="" if self._labels is None else self._labels.origin,
            notes=tuple(self.notes),
        )

    def _check(self, name: str, images: Sequence[PairedImage]) -> None:
        if not images:
            there = ", ".join(f"{split} ({len(found)})" for split, found in sorted(self._images.items()))
            raise DataError(f"split {name!r} of {self._source} has no images; the splits there: {there}")
        missing = [image.path for image in images if not image.path.is_file()]
        if missing:
            raise DataError(
                f"{len(missing)} of {len(images)} images of split {name!r} of {self._source} have no file, the first "
                f"is {missing[0]}; put them there, take their rows out, or set dataset.image_root to their folder"
            )

    @property
    def _source(self) -> Path:
        return self.files[0] if len(self.files) == 1 else self.root


def _grouped(pairs: Iterable[Pair]) -> tuple[list[PairedImage], int]:
    """Images with their captions in the order of the pairs, and how many pairs were repeated."""
    first: dict[str, Pair] = {}
    captions: dict[str, dict[str, None]] = {}
    splits: dict[str, str] = {}
    duplicates = 0
    for pair in pairs:
        split = _split_of(pair)
        known = first.setdefault(pair.image, pair)
        if splits.setdefault(pair.image, split) != split:
            raise DataError(
                f"{pair.origin} puts the image {pair.name} into split {split}, but {known.origin} into "
                f"{splits[pair.image]}; an image belongs to one split"
            )
        texts = captions.setdefault(pair.image, {})
        duplicates += pair.caption in texts
        texts[pair.caption] = None
    ids = unique_ids([pair.name for pair in first.values()])
    images = [
        PairedImage(item, pair.path, splits[image], list(captions[image]))
        for item, (image, pair) in zip(ids, first.items(), strict=True)
    ]
    return images, duplicates


def _split_of(pair: Pair) -> str:
    stated = pair.split.strip().lower()
    if stated and stated not in SPLIT_WORDS:
        raise DataError(
            f"{pair.origin} has the split {pair.split!r}, expected one of {', '.join(SPLIT_WORDS)}; rename it, or "
            "name another column by dataset.split_column"
        )
    return SPLIT_WORDS.get(stated, "train")
