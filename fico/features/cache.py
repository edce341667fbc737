"""Feature arrays in the user's cache, found by what they were made from."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from fico.util.cache import cache_dir
from fico.util.cached_folder import ensure_folder
from fico.util.disk_errors import map_new_file


def cached_rows(
    kind: str, content: Sequence[object], shape: tuple[int, ...], blocks: Iterable[np.ndarray]
) -> np.ndarray:
    """Give an array from the cache, or make it, block by block.

    Args:
        kind: Name of the feature, for people who look into the cache.
        content: Everything that the array depends on, as JSON takes it; the array is found by its hash.
        shape: Of the whole array.
        blocks: Rows in order; not touched if the array is there.

    Returns:
        The array, float32, memory-mapped. A truncated or changed file counts as absent and is made again.
    """
    key = hashlib.sha256(json.dumps([kind, list(shape), content]).encode()).hexdigest()[:24]
    folder = cache_dir() / "features" / f"{kind}-{key}"
    ensure_folder(folder, partial(_write, shape=shape, blocks=blocks))
    rows: np.ndarray = np.load(folder / "rows.npy", mmap_mode="r")
    return rows


def _write(folder: Path, *, shape: tuple[int, ...], blocks: Iterable[np.ndarray]) -> None:
    path = folder / "rows.npy"
    rows = map_new_file(path, np.dtype(np.float32), shape)
    start = 0
    for block in blocks:
        rows[start : start + len(block)] = block
        start += len(block)
    rows.flush()
