"""Category labels of a data set, joined to its images by id."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from fico.errors import DataError
from fico.formats.npz import read_npz

Labels = Bool[np.ndarray, "images classes"]
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")


class LabelFile:
    """A ``labels.npz`` with ``image_ids``, ``labels`` (images x classes, 0 or 1) and perhaps names.

    Instead of ``labels`` it may hold ``labels_packed``, eight columns a byte as by ``numpy.packbits``, with one
    ``category_ids`` per column. The names of the classes are its ``classes``; else those of the categories in
    ``categories.json`` or ``annotations/*.json`` of the folder, in ascending order of their ids; else ``class_0``, ...

    A file that a model made says so by ``is_pseudo``, and how in ``origin``.

    Args:
        path: The file.
        source: What errors call it, where it was made from other files; default: its path.

    Raises:
        DataError: The file is broken, ids and rows differ in number, an id occurs twice, or a value is neither
            0 nor 1.
    """

    def __init__(self, path: Path, source: str | None = None) -> None:
        self.source = source or str(path)
        arrays = _read(path)
        ids = [_plain_id(item) for item in arrays["image_ids"].tolist()]
        self.labels = _multi_hot(path, arrays["labels"], len(ids))
        self.rows = {item: row for row, item in enumerate(ids)}
        if len(self.rows) != len(ids):
            raise DataError(f"{path} holds {len(ids) - len(self.rows)} image ids twice; ids must be unique")
        self.classes = _class_names(path, arrays, self.labels.shape[1])
        self.is_pseudo = bool(arrays.get("is_pseudo", False))
        self.origin = str(arrays["origin"]) if self.is_pseudo and "origin" in arrays else ""

    def of(self, image_ids: Sequence[str]) -> Labels:
        """Give the label rows of these images, in their order.

        Raises:
            DataError: An image has no row; it is named.
        """
        missing = [item for item in image_ids if item not in self.rows]
        if missing:
            raise DataError(
                f"{self.source} has no labels of {len(missing)} of {len(image_ids)} images, "
                f"among them {', '.join(missing[:3])}; an image without a category needs a row of zeros"
            )
        return self.labels[[self.rows[item] for item in image_ids]]


def labels_by_position(path: str, images: int) -> tuple[Labels, tuple[str, ...]]:
    """Read labels without ids, such as the ``LAll`` of a ``.mat``: row ``i`` belongs to image ``i`` of its split.

    Args:
        path: Any array file of `fico.formats.arrays`, with ``:KEY`` where it holds several.
        images: Images of the split.

    Returns:
        The rows and the names of the columns, as for `LabelFile`.

    Raises:
        UsageError: The file has another suffix or no such key.
        DataError: The file is missing or broken, holds other values than 0 and 1, or has not one row per image.
    """
    from fico.formats.arrays import load_labels

    labels = load_labels(path)
    if len(labels) != images:
        raise DataError(
            f"{path} has {len(labels)} label rows for {images} images; such a file has no ids, so it needs one row per "
            "image of the split, in its order"
        )
    return labels, _class_names(Path(path), {}, labels.shape[1])


def _read(path: Path) -> Mapping[str, np.ndarray]:
    arrays = read_npz(path, "make the label file again")
    if "labels_packed" in arrays and "category_ids" in arrays:
        columns = len(arrays["category_ids"])
        arrays["labels"] = np.unpackbits(arrays["labels_packed"], axis=1)[:, :columns]
    for name in ("image_ids", "labels"):
        if name not in arrays:
            raise DataError(f"{path} has no array {name!r}, only {sorted(arrays)}; labels are joined to images by id")
    return arrays


def _plain_id(item: object) -> str:
    text = str(item)
    return Path(text).stem if text.lower().endswith(IMAGE_SUFFIXES) else text


def _multi_hot(path: Path, labels: np.ndarray, images: int) -> Labels:
    if labels.ndim != 2 or len(labels) != images:
        raise DataError(f"{path} has labels of shape {labels.shape} for {images} image ids; it needs one row per id")
    if not np.isin(labels, (0, 1)).all():
        row = int(np.flatnonzero(~np.isin(labels, (0, 1)).all(axis=1))[0])
        raise DataError(f"row {row} of the labels in {path} holds values other than 0 and 1")
    return labels.astype(bool)


def _class_names(path: Path, arrays: Mapping[str, np.ndarray], count: int) -> tuple[str, ...]:
    if "classes" in arrays:
        names = tuple(str(name) for name in arrays["classes"])
        if len(names) != count:
            raise DataError(f"{path} names {len(names)} classes for {count} label columns; name each column")
        return names
    annotations = path.parent.glob("annotations/*.json")  # the smallest first: that of COCO's training set has 300 MB
    for source in (path.parent / "categories.json", *sorted(annotations, key=lambda file: file.stat().st_size)):
        names = _category_names(source)
        if len(names) == count:
            return names
    return tuple(f"class_{number}" for number in range(count))


def _category_names(source: Path) -> tuple[str, ...]:
    """Read the names of COCO categories; none where the file holds no categories."""
    try:
        content: Any = json.loads(source.read_bytes())
        categories = content if isinstance(content, list) else content["categories"]
        return tuple(str(item["name"]) for item in sorted(categories, key=lambda item: item["id"]))
    except (OSError, ValueError, KeyError, TypeError):
        return ()
