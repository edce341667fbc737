"""Arrays of feature files, each with its items along the first axis."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int64

from fico.errors import DataError, UsageError
from fico.formats.arrays import load_array
from fico.formats.text import read_items
from fico.util.optional import requires_extra
from fico.util.progress import track

PICTURES_AT_ONCE = 64
Files = str | Mapping[str, str]  # FILE[:KEY], or one such by split

# Names under which the hashing literature keeps its arrays, for files without a key.
_KEYS = {
    "images": ("images", "XAll", "I", "VAll", "IAll"),
    "texts": ("texts", "YAll", "T"),
    "labels": ("labels", "LAll", "L"),
    "image_ids": ("image_ids", "ids"),
    "rows": ("caption_to_image",),
}


@dataclass(frozen=True, slots=True, eq=False)
class Arrays:
    """Features of one part of a data set."""

    images: np.ndarray
    texts: np.ndarray
    labels: Bool[np.ndarray, "images classes"] | None
    ids: tuple[str, ...]
    caption_to_image: Int64[np.ndarray, " texts"]


def read_arrays(root: Path, files: Mapping[str, Files | None], items: int | None) -> dict[str, Arrays]:
    """Read the files of all parts.

    Args:
        root: The folder of the files.
        files: ``images``, ``texts`` and, or None, ``labels``, ``image_ids`` and ``rows`` (the image row of each text).
        items: Images in all, where known.

    Returns:
        By part: ``all``, or the splits that the files hold.

    Raises:
        UsageError: Some files are listed by split and others not, or there is no such key.
        DataError: A file is missing or broken, or counts do not fit.
    """
    sources = {name: source for name, source in files.items() if source is not None}
    parts = {name: {"all": source} if isinstance(source, str) else dict(source) for name, source in sources.items()}
    wanted = list(parts["images"])
    if uneven := [name for name, found in parts.items() if list(found) != wanted]:
        raise UsageError(
            f"dataset.image_features is given for {', '.join(wanted)}, but {uneven[0]} for "
            f"{', '.join(parts[uneven[0]])}; give all files by the same splits"
        )
    if "train" not in wanted and wanted != ["all"]:
        raise UsageError(f"dataset.image_features is given for {', '.join(wanted)}; it needs at least train and test")
    return {
        part: _part(root, {name: found[part] for name, found in parts.items()}, items if part == "all" else None)
        for part in wanted
    }


def _part(root: Path, sources: Mapping[str, str], items: int | None) -> Arrays:
    arrays = {name: _load(root, name, source) for name, source in sources.items()}
    paired = ["images", "labels"] if "rows" in arrays else ["images", "texts", "labels"]
    is_pictures = arrays["images"].ndim == 4
    shapes = {name: arrays[name].shape for name in paired if name in arrays and min(arrays[name].shape) > 1}
    if is_pictures:
        del shapes["images"]
    count = items if items is not None else _count(shapes, sources)
    if is_pictures:
        arrays["images"] = _described(arrays["images"], count, sources["images"])
    for name in shapes:
        arrays[name] = _oriented(arrays[name], count, sources[name])
    labels = arrays.get("labels")
    ids = arrays["image_ids"].reshape(-1) if "image_ids" in arrays else np.arange(count)
    if len(ids) != count or len(set(ids.tolist())) != count:
        raise DataError(f"{sources.get('image_ids')} has {len(ids)} ids for {count} images; each needs one of its own")
    rows = arrays["rows"].reshape(-1).astype(np.int64) if "rows" in arrays else np.arange(count)
    if len(rows) != len(arrays["texts"]) or rows.min() < 0 or rows.max() >= count:
        raise DataError(
            f"{sources['texts']} has {len(arrays['texts'])} rows for {count} images; give dataset.caption_to_image, "
            "one image row for each text"
        )
    multi_hot = None if labels is None else _multi_hot(labels, count, sources["labels"])
    return Arrays(arrays["images"], arrays["texts"], multi_hot, tuple(map(str, ids.tolist())), rows)


def _load(root: Path, name: str, source: str) -> np.ndarray:
    if name == "image_ids" and source.endswith(".txt"):
        return np.array(read_items(root / source))
    array = load_array(str(root / source), prefer=_KEYS[name])
    if name in ("images", "texts") and array.ndim != 2 and not (name == "images" and array.ndim == 4):
        raise DataError(f"{source} has shape {array.shape}; expected one vector for each item")
    return array


def _described(pictures: np.ndarray, count: int, source: str) -> Float32[np.ndarray, "images 392"]:
    """Fixed descriptors of pictures, whose axes are in MATLAB's order or in that of one of its readers."""
    with requires_extra("data"):
        from PIL import Image

    from fico.images import descriptors

    if pictures.shape[-1] == count and pictures.shape[2] == 3:  # height width 3 items, as MATLAB has them
        pictures = np.moveaxis(pictures, -1, 0)
    elif pictures.shape[:2] == (count, 3):  # items 3 width height, as HDF5 has them
        pictures = pictures.transpose(0, 3, 2, 1)
    if pictures.shape[0] != count or pictures.shape[3] != 3 or pictures.dtype != np.uint8:
        raise DataError(
            f"{source} has shape {pictures.shape} and dtype {pictures.dtype} for {count} images; expected whole "
            "numbers of one byte, three colours a point"
        )
    blocks, starts = [], range(0, count, PICTURES_AT_ONCE)
    for start in track(starts, len(starts), f"Describing {source}"):
        chosen = pictures[start : start + PICTURES_AT_ONCE]
        small = [descriptors.squash(Image.fromarray(np.ascontiguousarray(picture))) for picture in chosen]
        blocks.append(descriptors.global_descriptor(np.stack(small)))
    return np.concatenate(blocks)


def _count(shapes: Mapping[str, tuple[int, ...]], sources: Mapping[str, str]) -> int:
    """The number of items: the length that the arrays have in common, along the first axis or else along any."""
    firsts = {shape[0] for shape in shapes.values()}
    if len(firsts) == 1:
        return firsts.pop()
    common = set.intersection(*(set(shape) for shape in shapes.values()))
    if len(common) != 1:
        listed = ", ".join(f"{sources[name]} {shape}" for name, shape in shapes.items())
        raise DataError(
            f"the arrays are of different lengths: {listed}; take files of one data set, or say with dataset.items how "
            "many images there are"
        )
    return common.pop()


def _oriented(array: np.ndarray, count: int, source: str) -> np.ndarray:
    """Bring the items to the first axis: files of version 7.3 that others wrote may hold them along the second."""
    if array.shape[0] == count:
        return array
    if array.ndim == 2 and array.shape[1] == count:
        return array.T
    raise DataError(
        f"{source} has shape {array.shape}, but there are {count} images; correct dataset.items or the file"
    )


def _multi_hot(labels: np.ndarray, count: int, source: str) -> Bool[np.ndarray, "images classes"]:
    if labels.size == count and labels.max(initial=0) > 1:  # numbers of classes
        numbers = labels.reshape(-1)
        values = np.unique(numbers)
        return np.asarray(numbers[:, None] == values[None])
    if labels.size == count > 1 and labels.dtype != bool:
        raise DataError(
            f"{source} has one column of 0 and 1, which may be one class or the numbers of two classes; store one "
            "column for each class, or number the classes from 1"
        )
    if labels.ndim != 2 or len(labels) != count or not np.isin(labels, (0, 1)).all():
        raise DataError(
            f"{source} has shape {labels.shape} and values from {labels.min()} to {labels.max()}; expected 0 and 1, "
            f"one row for each of {count} images"
        )
    return np.asarray(labels).astype(bool)
