"""``fico split``: stratified splits of a new data set, written into its Karpathy JSON with a record of how."""

import gzip
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from fico.datasets.karpathy.coco_captions import find_captions, karpathy_form
from fico.datasets.karpathy.coco_instances import find_instances, instance_labels
from fico.datasets.karpathy.split_json import check_records, find_json, read_split_file
from fico.datasets.labels import LabelFile
from fico.datasets.splits import stratified
from fico.errors import UsageError
from fico.util.atomic import atomic_write

RECORD = "splits"  # the key of the JSON under which each split field says how it was made


@dataclass(frozen=True, slots=True)
class Made:
    """Splits of a data set.

    Args:
        path: The file that was written.
        counts: Images and captions of each split.
        largest_gap: The largest difference between a category's frequency in a split and in all images; None
            without labels.
        fingerprint: SHA-256 over the ids and their splits, in the order of the ids.
    """

    path: Path
    counts: dict[str, tuple[int, int]]
    largest_gap: float | None
    fingerprint: str


def split_dataset(
    folder: Path, *, val: float, test: float, seed: int, key: str, out: Path | None, overwrite: bool
) -> Made:
    """Assign each image of a data set to a split, stratified by labels where there are any.

    Args:
        folder: With a Karpathy JSON and perhaps ``labels.npz`` or instance annotations; or the path of the JSON.
        val: Fraction of the images for validation.
        test: Fraction of the images for testing; the rest is for training.
        seed: Of the assignment.
        key: Field that takes the split of each image.
        out: File to write; default: the one that was read, which is replaced atomically.
        overwrite: Replace an existing field.

    Raises:
        UsageError: The fractions leave nothing for training, or the field exists already.
        DataError: The folder, its JSON or its labels are broken.
    """
    path, content = _content(folder)
    images: list[dict[str, Any]] = content["images"]
    if not overwrite and any(key in image for image in images):
        raise UsageError(
            f"images of {path} have the field {key!r} already; give another --key, or --overwrite to replace it"
        )
    for image in images:
        image[key] = "train"
    records = check_records(path, images, key)
    ids = [record.id for record in records]
    labels = _labels(folder if folder.is_dir() else path.parent, ids)
    fractions = {"train": round(1 - val - test, 12), "val": val, "test": test}
    splits = stratified(ids, labels, fractions, seed)
    for image, split in zip(images, splits, strict=True):
        image[key] = split
    digest = hashlib.sha256(json.dumps(sorted(zip(ids, splits, strict=True))).encode()).hexdigest()
    counts = {
        name: (
            sum(split == name for split in splits),
            sum(len(record.captions) for record, split in zip(records, splits, strict=True) if split == name),
        )
        for name in fractions
    }
    content.setdefault(RECORD, {})[key] = {
        "method": "iterative stratification by labels" if labels is not None else "hashed ids",
        "seed": seed,
        "shares": fractions,
        "images": {name: count for name, (count, _) in counts.items()},
        "fingerprint": digest,
    }
    target = out or path
    with atomic_write(target) as part:
        data = json.dumps(content, ensure_ascii=False).encode()
        part.write_bytes(gzip.compress(data, mtime=0) if target.suffix == ".gz" else data)
    return Made(target, counts, None if labels is None else _largest_gap(labels, splits), digest)


def _content(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The split file of a folder; where there is only COCO's form of captions, it is made from them."""
    captions = find_captions(folder) if folder.is_dir() and not any(folder.glob("*.json*")) else ()
    if captions:
        return folder / f"dataset_{folder.resolve().name}.json", karpathy_form(captions)
    path = find_json(folder)
    return path, read_split_file(path)


def _labels(folder: Path, ids: list[str]) -> Bool[np.ndarray, "images classes"] | None:
    if (folder / "labels.npz").exists():
        return LabelFile(folder / "labels.npz").of(ids)
    files = find_instances(folder)
    return instance_labels(files).of(ids) if files else None


def _largest_gap(labels: Bool[np.ndarray, "images classes"], splits: list[str]) -> float:
    named, every = np.array(splits), labels.mean(axis=0)
    return float(max(np.abs(labels[named == name].mean(axis=0) - every).max() for name in set(splits)))
