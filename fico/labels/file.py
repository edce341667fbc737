"""The label file of a data set, written by a model."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from fico.datasets.labels import LabelFile
from fico.errors import UsageError
from fico.labels.classes import COCO80
from fico.util.atomic import atomic_write


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """What there is to say of labels.

    Args:
        images: Number of rows.
        classes: Number of columns.
        without: Images without any label: category-level AP is not defined for them.
        mean: Labels an image.
        unused: Classes without an image.
    """

    images: int
    classes: int
    without: int
    mean: float
    unused: int

    @classmethod
    def of(cls, labels: Bool[np.ndarray, "images classes"]) -> "LabelCounts":
        """Count."""
        images, classes = labels.shape
        return cls(
            images,
            classes,
            int((~labels.any(axis=1)).sum()),
            float(labels.sum() / images),
            int((~labels.any(axis=0)).sum()),
        )

    def __str__(self) -> str:
        return (
            f"{self.images:,} images, {self.classes} classes, {self.mean:.2f} labels an image; {self.without:,} images "
            f"({self.without / self.images:.1%}) have no label, {self.unused} classes no image"
        )


def check_target(path: Path, *, overwrite: bool) -> None:
    """Refuse to write over labels that might still be needed.

    Raises:
        UsageError: A label file is there that no model made, or any without ``overwrite``.
    """
    if not path.exists():
        return
    if not LabelFile(path).is_pseudo:
        raise UsageError(f"{path} holds labels that no model made; give another file with --out, or move it away")
    if not overwrite:
        raise UsageError(f"{path} is there already; give --overwrite to replace it, or another file with --out")


def write_labels(
    path: Path,
    image_ids: Sequence[str],
    labels: Bool[np.ndarray, "images classes"],
    classes: Sequence[str],
    origin: Mapping[str, Any],
) -> LabelCounts:
    """Write a label file that says it was made by a model.

    Args:
        path: Ends with ``.npz``.
        image_ids: One per row.
        labels: True where the class is there.
        classes: Names of the columns.
        origin: What made them, as JSON takes it; ``made_by`` is its name.

    Returns:
        Counts of what was written.
    """
    counts = LabelCounts.of(labels)
    arrays: dict[str, np.ndarray] = {
        "image_ids": np.array(image_ids, dtype=np.str_),
        "labels": labels.astype(np.uint8),
        "classes": np.array(classes, dtype=np.str_),
        "is_pseudo": np.array(True),
        "origin": np.array(json.dumps({**origin, "images_without_label": counts.without}, sort_keys=True)),
    }
    if tuple(classes) == tuple(COCO80.values()):
        arrays["category_ids"] = np.array(list(COCO80), dtype=np.int32)
    with atomic_write(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return counts
