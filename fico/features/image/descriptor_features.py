"""Image features of a data set: precomputed, or else the fixed descriptors."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from fico.datasets.base import RetrievalSplit
from fico.features.cache import cached_rows
from fico.features.precomputed import Features, Scale, read_precomputed
from fico.images import descriptors
from fico.util.progress import track

ImageKind = Literal["global", "regions"]
BLOCK = 64  # pictures described at once
SHAPES: dict[ImageKind, tuple[int, ...]] = {
    "global": (descriptors.GLOBAL_DIM,),
    "regions": (descriptors.REGIONS, descriptors.REGION_DIM),
}
FILES: dict[ImageKind, str] = {"global": "vgg19", "regions": "regions"}


def image_features(
    root: Path, splits: Mapping[str, RetrievalSplit], kind: ImageKind, *, progress: bool = True
) -> Features:
    """Give the image features of some splits.

    Precomputed ``features/vgg19.npy`` (``global``) or ``features/regions.npy`` are taken as they are. Otherwise the
    fixed descriptors are computed once and cached, and each value is shifted and scaled to mean 0 and deviation 1 over
    the training images (over all their regions too).

    Args:
        root: The data set's folder.
        splits: By name; ``train`` among them.
        kind: One descriptor an image, or one for each of its regions.
        progress: Show a bar.

    Raises:
        DataError: An image file is missing or broken (its id is named), or the precomputed files are.
    """
    shape = SHAPES[kind]
    ids = {name: split.image_ids for name, split in splits.items()}
    precomputed = read_precomputed(root, FILES[kind], ids, axes=1 + len(shape))
    if precomputed is not None:
        return precomputed
    raw = {name: _described(split, kind, progress) for name, split in splits.items()}
    scale = Scale.fit(raw["train"])
    rows = {name: scale.apply(array) for name, array in raw.items()}
    size = " x ".join(map(str, shape))
    origin = f"fixed {kind} descriptor v{descriptors.VERSION} (colours and edges, {size}), standardised on train"
    return Features(rows, origin, is_made=True, scale=scale)


def describe(split: RetrievalSplit, kind: ImageKind, scale: Scale, *, progress: bool = True) -> np.ndarray:
    """Fixed descriptors of new images, standardised as those of a training split; nothing is cached.

    Args:
        split: Its images are read.
        kind: One descriptor an image, or one for each of its regions.
        scale: Of the training images.
        progress: Show a bar.

    Raises:
        DataError: An image file is missing or broken; its id is named.
    """
    return scale.apply(np.concatenate(list(_blocks(split, kind, progress))))


def _described(split: RetrievalSplit, kind: ImageKind, progress: bool) -> np.ndarray:
    content = [
        descriptors.VERSION,
        [file_stamp(*image) for image in zip(split.image_ids, split.image_paths, strict=True)],
    ]
    return cached_rows(kind, content, (len(split.image_ids), *SHAPES[kind]), _blocks(split, kind, progress))


def file_stamp(image_id: str, path: Path) -> tuple[str, int, int]:
    """Say what an image's features depend on: a file that was replaced has another time, if not another size."""
    try:
        status = path.stat()
    except OSError:
        return image_id, -1, -1  # reading it will raise the error
    return image_id, status.st_size, status.st_mtime_ns


def _blocks(split: RetrievalSplit, kind: ImageKind, progress: bool) -> Iterator[np.ndarray]:
    describe = descriptors.global_descriptor if kind == "global" else descriptors.region_descriptor
    starts = range(0, len(split.image_ids), BLOCK)
    for start in track(starts, len(starts), f"Describing {split.name} images", is_shown=progress):
        chosen = slice(start, start + BLOCK)
        images = zip(split.image_paths[chosen], split.image_ids[chosen], strict=True)
        yield describe(np.stack([descriptors.read_picture(*image) for image in images]))
