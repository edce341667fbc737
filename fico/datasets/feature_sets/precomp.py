"""Folders of precomputed features in the layout of VSE++ and SCAN."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from fico.correspondence import Correspondence
from fico.datasets.base import CaptionsPerImage, RetrievalSplit, SplitReader, check_captions_per_image
from fico.datasets.feature_sets.fingerprint import fingerprint
from fico.datasets.labels import LabelFile
from fico.datasets.words import caption_words
from fico.errors import DataError, PathError
from fico.formats.arrays import check_finite
from fico.formats.text import read_items, read_json
from fico.util.damaged import readable

BLOCK_ROWS = 4096  # rows read at once
LINES_PER_IMAGE = 5  # of the caption files; captions of an image follow each other


class Precomp(SplitReader):
    """``<split>_ims.npy``, ``<split>_caps.txt`` and ``<split>_ids.txt``: image features and captions, no images.

    Splits are ``train``, ``dev`` (here ``val``) and ``test``. Features have one row an image or one a caption, then
    repeated; ids likewise. Ids say which captions belong to which image; with one id an image, five captions in a row
    do. Without an ids file, row numbers are the ids. ``labels.npz`` is joined by id; ``id_mapping.json`` gives paths of
    images for the report.

    Args:
        root: The folder, such as ``f30k_precomp`` or ``coco_precomp``.
        captions_per_image: ``"all"``, or an integer to keep only that many of each image.
        test_files: Begin of the names of the test files: for COCO ``testall`` (5,000 images) or ``test`` (the first
            1,000 of them, which is not the mean over five folds).
        expected: Images that each split must have; splits not named are not checked.
        name: Name of the data set in results.

    Raises:
        UsageError: ``captions_per_image`` is neither ``"all"`` nor a positive integer.
        DataError: The folder is missing.

    Source:
        Faghri et al., BMVC 2018; Lee et al., ECCV 2018 (36 regions of 2,048 values).
    """

    feature_origins: Mapping[str, str] = {
        "regions": "regions of the precomputed files (*_ims.npy)",
        "global": "vectors of the precomputed files (*_ims.npy), of regions their mean",
    }

    def __init__(
        self,
        root: str | Path,
        captions_per_image: CaptionsPerImage = "all",
        test_files: str = "test",
        expected: Mapping[str, int] | None = None,
        name: str = "precomp",
    ) -> None:
        check_captions_per_image(captions_per_image)
        super().__init__(Path(root).expanduser(), name)
        if not self.root.is_dir():
            raise PathError(f"there is no folder {self.root}; set dataset.root to one with train_ims.npy and so on")
        self.captions_per_image = captions_per_image
        self.files = {"train": "train", "val": "dev", "test": test_files}
        self.expected = dict(expected or {})
        self._starts: dict[str, Int64[np.ndarray, " images"]] = {}  # first line of each image in the caption file
        self._captions_in_file: dict[str, int] = {}

    def features(self, split: str, kind: str) -> Float32[np.ndarray, "images ..."]:
        """Give the features of one kind, row by row as in the split; regions stay memory-mapped.

        Args:
            split: ``train``, ``val`` or ``test``.
            kind: ``regions``, or ``global`` for one vector an image.

        Raises:
            DataError: As for `split`; ``regions`` of files that hold vectors; rows of one image differ or
                values are not finite, and the ids are named.
        """
        array, path, ids = self._array(split), self._path(split, "ims.npy"), self.split(split).image_ids
        if kind == "regions" and array.ndim != 3:
            raise DataError(f"{path} holds one vector an image, no regions; take a model that needs vectors, as ucch")
        check_finite(str(path), array, ids)
        if kind == "regions" or array.ndim == 2:
            return array.astype(np.float32, copy=False)
        blocks = [array[at : at + BLOCK_ROWS].mean(axis=1, dtype=np.float32) for at in range(0, len(array), BLOCK_ROWS)]
        return np.concatenate(blocks)

    def _path(self, split: str, suffix: str) -> Path:
        if split not in self.files:
            raise DataError(f"the data set {self.root} has no split {split!r}; it has {', '.join(self.files)}")
        return self.root / f"{self.files[split]}_{suffix}"

    def _lines(self, path: Path) -> list[str]:
        if not path.is_file():
            there = sorted({found.name.rsplit("_", maxsplit=1)[0] for found in self.root.glob("*_caps.txt")})
            raise DataError(
                f"there is no {path}; caption files of {', '.join(there) or 'no split'} are there (dataset.test_files)"
            )
        return read_items(path)

    def _ids(self, split: str, captions: int) -> tuple[tuple[str, ...], Int64[np.ndarray, " captions"]]:
        """Ids of the images, and the image row of each caption."""
        path = self._path(split, "ids.txt")
        listed = self._lines(path) if path.exists() else [str(n) for n in range(captions // LINES_PER_IMAGE)]
        if len(listed) == captions:  # one id a caption
            starts = [at for at, item in enumerate(listed) if at == 0 or item != listed[at - 1]]
            ids, rows = [listed[at] for at in starts], np.repeat(np.arange(len(starts)), np.diff([*starts, captions]))
        elif len(listed) * LINES_PER_IMAGE == captions:
            ids, rows = listed, np.repeat(np.arange(len(listed)), LINES_PER_IMAGE)
        else:
            raise DataError(
                f"{path} has {len(listed)} ids for {captions} captions; it needs one a caption or one an image of "
                f"{LINES_PER_IMAGE} captions"
            )
        if len(set(ids)) != len(ids):
            twice = next(item for at, item in enumerate(ids) if item in ids[:at])
            raise DataError(f"{path} names image {twice} in two places; captions of an image must follow each other")
        return tuple(ids), rows

    def _array(self, split: str) -> np.ndarray:
        """One row an image; repeated rows are left out without reading the file."""
        path, found = self._path(split, "ims.npy"), self.split(split)
        with readable(path, "fetch it again"):
            array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        images, captions = len(found.image_ids), self._captions_in_file[split]
        if (
            array.ndim not in (2, 3)
            or not np.issubdtype(array.dtype, np.floating)
            or len(array) not in (images, captions)
        ):
            raise DataError(
                f"{path} has shape {array.shape} and dtype {array.dtype} for {images} images with {captions} captions; "
                "it needs floats, one row an image or one a caption"
            )
        if len(array) == images:
            return array
        starts = self._starts[split]
        ends = np.append(starts[1:], captions) - 1
        for at in range(0, images, BLOCK_ROWS):
            first, last = array[starts[at : at + BLOCK_ROWS]], array[ends[at : at + BLOCK_ROWS]]
            if different := np.flatnonzero((first != last).reshape(len(first), -1).any(axis=1)).tolist():
                raise DataError(
                    f"{path} has different features in the rows of image {found.image_ids[at + different[0]]}; ids, "
                    "captions and features are not of the same copy"
                )
        counts = np.diff([*starts, captions])  # of the last image too
        return array[:: counts[0]] if (counts == counts[0]).all() else array[starts]

    def _read_split(self, name: str) -> RetrievalSplit:
        texts = self._lines(self._path(name, "caps.txt"))
        ids, rows = self._ids(name, len(texts))
        self._starts[name] = np.searchsorted(rows, np.arange(len(ids)))
        self._captions_in_file[name] = len(texts)
        if len(ids) != self.expected.get(name, len(ids)):
            raise DataError(
                f"split {name!r} of {self.root} has {len(ids)} images, expected {self.expected[name]}; correct "
                "dataset.expected or dataset.test_files"
            )
        positions = np.arange(len(texts)) - self._starts[name][rows]
        most = len(texts) if self.captions_per_image == "all" else self.captions_per_image
        kept = np.flatnonzero(positions < most).tolist()
        captions = tuple(texts[row] for row in kept)
        caption_ids = tuple(f"{ids[rows[row]]}#{positions[row]}" for row in kept)
        labels = None if self._labels is None else self._labels.of(ids)
        classes = () if self._labels is None else self._labels.classes
        path = self._path(name, "ims.npy")
        size = [path.stat().st_size if path.exists() else 0]
        return RetrievalSplit(
            dataset=self.name,
            name=name,
            image_ids=ids,
            image_paths=tuple(self.root / self._mapping.get(item, f"{item}.jpg") for item in ids),
            caption_ids=caption_ids,
            captions=captions,
            tokens=tuple(map(caption_words, captions)),
            correspondence=Correspondence(rows[kept]),
            labels=labels,
            classes=classes,
            fingerprint=fingerprint((ids, caption_ids, captions, classes, size), _mapped(path), labels),
        )

    @cached_property
    def _labels(self) -> LabelFile | None:
        path = self.root / "labels.npz"
        return LabelFile(path) if path.exists() else None

    @cached_property
    def _mapping(self) -> dict[str, str]:
        path = self.root / "id_mapping.json"
        if not path.exists():
            return {}
        try:
            return {str(item): str(image) for item, image in read_json(path).items()}
        except AttributeError as error:
            raise DataError(f'{path} is no {{"<id>": "<path>"}} ({error}); make it again or delete it') from error


def _mapped(path: Path) -> list[np.ndarray]:
    """The array for the fingerprint; a broken one is reported when its features are read."""
    try:
        return [np.load(path, mmap_mode="r", allow_pickle=False)]
    except Exception:  # NumPy has many kinds for a damaged file
        return []
