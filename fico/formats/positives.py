"""Positives of each query from files: qrels, a CSV file of pairs, or the arrays of `Correspondence.from_pairs`."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fico.correspondence import Correspondence
from fico.errors import DataError, UsageError
from fico.formats.arrays import load_array
from fico.formats.text import read_json, read_lines
from fico.formats.trec import read_qrels
from fico.util.damaged import readable

NEEDED, OPTIONAL = ("image_rows", "caption_rows"), ("image_queries", "caption_queries")
Pairs = tuple[list[str], list[str]]


def load_positives(
    path: Path,
    image_ids: Sequence[str],
    caption_ids: Sequence[str],
    caption_to_image: ArrayLike | None = None,
) -> Correspondence:
    """Reads which captions and images are relevant to each other, any number of them.

    ``.json`` (an object) and ``.npz`` hold rows: ``image_rows`` and ``caption_rows`` of each pair, perhaps
    ``image_queries`` and ``caption_queries``, as `Correspondence.from_pairs` takes them. ``.csv`` has the columns
    ``image`` and ``caption``, and any other file is read as TREC qrels, lines ``image 0 caption 1``; both hold ids, or
    ids behind the word ``image`` or ``caption``.

    Args:
        path: The file.
        image_ids: Id of each image row.
        caption_ids: Id of each caption row.
        caption_to_image: Row of each caption's source image, where it is known.

    Raises:
        UsageError: The arrays of the file have other names.
        DataError: The file is missing or broken, names an id that there is not, or as `Correspondence.from_pairs`.
    """
    suffix = path.suffix.lower()
    if suffix in (".json", ".npz"):
        rows = _json(path) if suffix == ".json" else _npz(path)
    else:
        images, captions = _csv(path) if suffix == ".csv" else _qrels(path)
        rows = {
            "image_rows": _rows(path, "image", images, image_ids),
            "caption_rows": _rows(path, "caption", captions, caption_ids),
        }
    sizes = {"images": len(image_ids), "captions": len(caption_ids)}
    try:
        return Correspondence.from_pairs(**rows, **sizes, caption_to_image=caption_to_image)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _json(path: Path) -> dict[str, Any]:
    found = read_json(path)
    if not isinstance(found, dict):
        raise UsageError(f"{path} holds no object; give {{{', '.join(f'{name!r}: [...]' for name in NEEDED)}}}")
    with readable(path, "give lists of whole numbers"):
        return _named(path, found, lambda key: np.asarray(found[key]))


def _npz(path: Path) -> dict[str, Any]:
    with readable(path, "make it with numpy.savez"), np.load(path, allow_pickle=False) as file:
        names = file.files
    return _named(path, names, lambda key: load_array(f"{path}:{key}"))


def _named(path: Path, names: Any, read: Callable[[str], np.ndarray]) -> dict[str, Any]:
    missing = [name for name in NEEDED if name not in names]
    if missing or not set(names) <= {*NEEDED, *OPTIONAL}:
        raise UsageError(
            f"{path} holds {', '.join(names) or 'nothing'}; give {' and '.join(NEEDED)}, perhaps with "
            f"{' and '.join(OPTIONAL)}"
        )
    return {name: read(name) for name in names}


def _csv(path: Path) -> Pairs:
    rows = list(csv.reader(line for line in read_lines(path) if line))
    header = [name.strip().lower() for name in rows[0]] if rows else []
    if not {"image", "caption"} <= set(header):
        raise DataError(f"{path} begins with {header}; its first line must name the columns image and caption")
    columns = [header.index(name) for name in ("image", "caption")]
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise DataError(f"{path} has {len(row)} columns in row {number}, expected {len(header)}")
    return [row[columns[0]].strip() for row in rows[1:]], [row[columns[1]].strip() for row in rows[1:]]


def _qrels(path: Path) -> Pairs:
    pairs = [(image, caption) for image, caption, is_relevant in read_qrels(path) if is_relevant]
    return [image for image, _ in pairs], [caption for _, caption in pairs]


def _rows(path: Path, side: str, names: Sequence[str], ids: Sequence[str]) -> np.ndarray:
    row_of = {f"{side}{name}": row for row, name in enumerate(ids)} | {name: row for row, name in enumerate(ids)}
    unknown = next((name for name in names if name not in row_of), None)
    if unknown is not None:
        raise DataError(
            f"{path} names the {side} {unknown}, which is none of the {len(ids)} {side}s ({ids[0]} to {ids[-1]})"
        )
    return np.array([row_of[name] for name in names], dtype=np.int64)
