"""A page of images with the labels that a model gave them: one file, readable offline."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32

from fico.images.decode import open_rgb
from fico.labels.file import LabelCounts
from fico.util.atomic import atomic_write
from fico.util.optional import requires_extra

with requires_extra("report"):
    from jinja2 import Environment, PackageLoader, StrictUndefined

THUMBNAIL = 220  # pixels of the longer side
TAGS = 5  # classes named under an image, at least


@dataclass(frozen=True, slots=True)
class Tag:
    """A class under an image."""

    name: str
    score: float
    is_label: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """One image of the page."""

    name: str
    picture: str
    tags: tuple[Tag, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Images with their labels and the scores behind them, row by row."""

    image_ids: Sequence[str]
    image_paths: Sequence[Path]
    scores: Float32[np.ndarray, "images classes"]
    labels: Bool[np.ndarray, "images classes"]
    classes: Sequence[str]


def write_preview(path: Path, labelled: Labelled, *, dataset: str, origin: Mapping[str, Any], images: int = 48) -> None:
    """Write the page, whole or not at all.

    Args:
        path: The HTML file.
        labelled: What to show.
        dataset: Name of the data set.
        origin: What made the labels.
        images: So many, taken evenly from all, and a quarter as many of those without label.
    """
    rows = _evenly(np.arange(len(labelled.labels)), images)
    empty = _evenly(np.flatnonzero(~labelled.labels.any(axis=1)), max(images // 4, 1))
    counts = labelled.labels.sum(axis=0)
    order = np.argsort(-counts, kind="stable")
    environment = Environment(loader=PackageLoader("fico.labels"), autoescape=True, undefined=StrictUndefined)
    page = environment.get_template("preview.html.jinja").render(
        dataset=dataset,
        origin=dict(origin),
        counts=str(LabelCounts.of(labelled.labels)),
        frequencies=[(labelled.classes[row], int(counts[row])) for row in order],
        most=max(int(counts.max()), 1),
        sections=[
            ("Images, taken evenly from all", [_shown(labelled, row) for row in rows]),
            ("Images without a label", [_shown(labelled, row) for row in empty]),
        ],
    )
    with atomic_write(path) as part:
        part.write_text(page, encoding="utf-8")


def _evenly(rows: np.ndarray, count: int) -> list[int]:
    positions = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)
    return [int(row) for row in rows[positions]]


def _shown(labelled: Labelled, row: int) -> Shown:
    scores, labels = labelled.scores[row], labelled.labels[row]
    best = np.argsort(-scores, kind="stable")[: max(TAGS, int(labels.sum()))]
    tags = tuple(Tag(labelled.classes[k], float(scores[k]), bool(labels[k])) for k in best)
    name = labelled.image_ids[row]
    return Shown(name, _picture(name, labelled.image_paths[row]), tags)


def _picture(name: str, path: Path) -> str:
    image = open_rgb(path, name)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
