"""Any folder with a split file in Karpathy's form."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from fico.correspondence import Correspondence
from fico.datasets.base import CaptionsPerImage, RetrievalSplit, SplitReader, check_captions_per_image
from fico.datasets.karpathy.image_files import ImageFiles
from fico.datasets.karpathy.split_json import ImageRecord, find_json, read_records
from fico.datasets.karpathy.token_file import read_tokens
from fico.datasets.labels import LabelFile, Labels, labels_by_position
from fico.datasets.recipes.layout import Layout
from fico.errors import DataError
from fico.util.digests.cached import file_digests


class Karpathy(SplitReader):
    """Images, captions and perhaps ``labels.npz`` in a folder with one Karpathy JSON (plain or ``.gz``).

    Rows follow the order of the file, which defines test positions. A missing image file is an error only
    when the image is read, so captions alone load too.

    Args:
        root: The folder, or the path of the JSON where the folder holds several.
        split_key: Field of the JSON that names an image's split.
        captions_per_image: ``"all"``, or an integer to keep only that many of each image, in file order. An image
            with fewer keeps what it has.
        use_restval: Count the split ``restval`` as training images, as every paper on COCO does.
        expected: Images that each split must have; splits not named are not checked.
        expected_captions: Captions that each split has before ``captions_per_image`` cuts them.
        label_files: Files of labels without ids by split, such as the ``LAll`` of a ``.mat``, read by position;
            they go before ``labels.npz``.
        name: Name of the data set in results; default: the reader's.

    Raises:
        UsageError: ``captions_per_image`` is neither ``"all"`` nor a positive integer.
        DataError: The folder is missing or holds no JSON or several.

    Source:
        Karpathy and Fei-Fei, CVPR 2015; the files of their release ``caption_datasets.zip``.
    """

    layout: ClassVar[Layout | None] = None  # of a data set whose folder is known

    def __init__(
        self,
        root: str | Path,
        split_key: str = "split",
        captions_per_image: CaptionsPerImage = "all",
        use_restval: bool = True,
        expected: Mapping[str, int] | None = None,
        expected_captions: Mapping[str, int] | None = None,
        label_files: Mapping[str, str] | None = None,
        name: str | None = None,
    ) -> None:
        check_captions_per_image(captions_per_image)
        folder = Path(root).expanduser()
        self.json_path = self._find(folder)
        super().__init__(folder if folder.is_dir() else self.json_path.parent, name or type(self).__name__.lower())
        self.split_key = split_key
        self.captions_per_image = captions_per_image
        self.use_restval = use_restval
        self.expected = dict(expected or {})
        self.expected_captions = dict(expected_captions or {})
        self.label_files = dict(label_files or {})

    def _find(self, root: Path) -> Path:
        """Give the file that says which images and captions there are."""
        known = None if self.layout is None else self.layout.find_json(root) or self.layout.find_captions(root)
        return known or find_json(root)

    def _read_records(self) -> list[ImageRecord]:
        """Read that file."""
        may_be_tokens = self.layout is not None and self.layout.captions
        if may_be_tokens and ".json" not in self.json_path.suffixes:
            return read_tokens(self.json_path)
        return read_records(self.json_path, self.split_key)

    def _label_file(self) -> LabelFile | None:
        path = self.root / "labels.npz"
        return LabelFile(path) if path.exists() else None

    @cached_property
    def _records(self) -> dict[str, list[ImageRecord]]:
        """Images by split."""
        records: dict[str, list[ImageRecord]] = {}
        for record in self._read_records():
            is_training = self.use_restval and record.split == "restval"
            records.setdefault("train" if is_training else record.split, []).append(record)
        return records

    @cached_property
    def _files(self) -> ImageFiles:
        return ImageFiles(self.root, () if self.layout is None else self.layout.image_folders)

    @cached_property
    def _labels(self) -> LabelFile | None:
        return self._label_file()

    def _labels_of(self, split: str, image_ids: Sequence[str]) -> tuple[Labels | None, tuple[str, ...]]:
        if split in self.label_files:
            return labels_by_position(self.label_files[split], len(image_ids))
        return (None, ()) if self._labels is None else (self._labels.of(image_ids), self._labels.classes)

    def _read_split(self, name: str) -> RetrievalSplit:
        records = self._records.get(name, [])
        self._check_count(name, records)
        kept = None if self.captions_per_image == "all" else self.captions_per_image
        captions = [(row, caption) for row, image in enumerate(records) for caption in image.captions[:kept]]
        paths = tuple(self._files.locate(image.filename, image.filepath, image.coco_id) for image in records)
        image_ids = tuple(record.id for record in records)
        caption_ids = tuple(caption.id for _, caption in captions)
        texts = tuple(caption.text for _, caption in captions)
        image_rows = [row for row, _ in captions]
        labels, classes = self._labels_of(name, image_ids)
        digests = file_digests(paths, label=f"Reading the {name} images for the fingerprint")
        parts = (image_ids, digests, caption_ids, texts, image_rows, classes)
        return RetrievalSplit(
            dataset=self.name,
            name=name,
            image_ids=image_ids,
            image_paths=paths,
            caption_ids=caption_ids,
            captions=texts,
            tokens=tuple(caption.tokens for _, caption in captions),
            correspondence=Correspondence(image_rows),
            labels=labels,
            classes=classes,
            fingerprint=_fingerprint(parts, labels),
            label_origin="" if self._labels is None or name in self.label_files else self._labels.origin,
        )

    def _check_count(self, name: str, records: Sequence[ImageRecord]) -> None:
        if not records:
            there = ", ".join(f"{split} ({len(found)})" for split, found in sorted(self._records.items()))
            raise DataError(
                f"split {name!r} of {self.json_path} has no images (field {self.split_key!r}); "
                f"the splits there: {there}"
            )
        captions = sum(len(record.captions) for record in records)
        for what, got, expected, key in (
            ("images", len(records), self.expected, "expected"),
            ("captions", captions, self.expected_captions, "expected_captions"),
        ):
            if got != expected.get(name, got):
                raise DataError(
                    f"split {name!r} of {self.json_path} has {got} {what}, expected {expected[name]}; "
                    f"fetch the file again or correct dataset.{key}"
                )


def _fingerprint(parts: Sequence[Sequence[object]], labels: np.ndarray | None) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(json.dumps(part, ensure_ascii=False).encode())
    if labels is not None:
        digest.update(np.packbits(labels, axis=1).tobytes())
    return digest.hexdigest()
