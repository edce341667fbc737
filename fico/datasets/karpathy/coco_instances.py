"""Multi-hot labels from the instance annotations of COCO, kept in the user's cache."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fico.datasets.labels import LabelFile
from fico.errors import DataError
from fico.formats.text import read_json
from fico.util.cache import cache_dir
from fico.util.cached_folder import ensure_folder

VERSION = 1  # raise it when what is written changes
_RELEASES = (
    ("instances_train2014.json", "instances_val2014.json"),
    ("instances_train2017.json", "instances_val2017.json"),
)


def find_instances(root: Path) -> tuple[Path, ...]:
    """Give the instance files below ``annotations/`` or the folder itself; none where there are none.

    Both releases hold the same annotations, so only one of them is taken, that of 2014 first.
    """
    for folder in (root / "annotations", root):
        for release in _RELEASES:
            found = tuple(folder / name for name in release if (folder / name).is_file())
            if found:
                return found
        if found := tuple(sorted(folder.glob("instances*.json"))):
            return found
    return ()


def instance_labels(files: Sequence[Path]) -> LabelFile:
    """Give the labels of every image that the files list, made on first use and then kept in the cache.

    Args:
        files: Instance annotations, each image in one of them. A changed file is read again.

    Raises:
        DataError: A file is broken, the files have different categories, or an image is in two of them.
    """
    states = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    key = hashlib.sha256(json.dumps([VERSION, states]).encode()).hexdigest()[:24]
    folder = cache_dir() / "labels" / f"instances-{key}"
    ensure_folder(folder, lambda work: write_labels(work / "labels.npz", files))
    return LabelFile(folder / "labels.npz", source=" and ".join(str(file) for file in files))


def write_labels(path: Path | BinaryIO, files: Sequence[Path]) -> None:
    """Write ``labels.npz`` from instance annotations: an image has a label for each category it has an instance of.

    Crowds count. Columns follow the ascending ids of the categories; an image without instances gets a row of zeros.

    Args:
        path: Where to write: a path that ends in ``.npz``, or a file opened for writing.
        files: Instance annotations.

    Raises:
        DataError: As for `instance_labels`.
    """
    classes: dict[int, str] = {}
    rows: dict[int, set[int]] = {}
    for file in files:
        content = _load(file)
        named = {int(category["id"]): str(category["name"]) for category in content["categories"]}
        if classes and named != classes:
            raise DataError(f"{file} has other categories than {files[0]}; take both files from one release")
        classes = named
        ids = [int(image["id"]) for image in content["images"]]
        if twice := rows.keys() & set(ids):
            raise DataError(f"{file} lists image {min(twice)}, which {files[0]} lists too; keep one of the two files")
        rows |= {item: set() for item in ids}
        _collect(file, content["annotations"], classes, rows)
    order = sorted(rows)
    columns = {category: column for column, category in enumerate(sorted(classes))}
    labels = np.zeros((len(order), len(columns)), dtype=np.uint8)
    for row, item in enumerate(order):
        labels[row, [columns[category] for category in rows[item]]] = 1
    np.savez_compressed(
        path,
        image_ids=np.array(order, dtype=np.int64),
        labels=labels,
        category_ids=np.array(sorted(classes)),
        classes=np.array([classes[category] for category in sorted(classes)]),
    )


def _collect(
    file: Path, annotations: Sequence[dict[str, Any]], classes: dict[int, str], rows: dict[int, set[int]]
) -> None:
    for annotation in annotations:
        image, category = annotation["image_id"], annotation["category_id"]
        if image not in rows or category not in classes:
            raise DataError(
                f"annotation {annotation.get('id')} of {file} names image {image} and category {category}, and the "
                "file does not list both; fetch it again"
            )
        rows[image].add(category)


def _load(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = read_json(file)
    try:
        for table in ("categories", "images", "annotations"):
            if not isinstance(content[table], list):
                raise TypeError(f"{table} is not a list")
    except (KeyError, TypeError) as error:
        raise DataError(f"{file} holds no instance annotations of COCO ({error}); fetch it again") from error
    return content
