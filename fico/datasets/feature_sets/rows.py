"""Helps for data sets that come as features: checks, a fingerprint, and a choice of rows that no order changes."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int64

from fico.errors import DataError
from fico.formats.text import read_lines

BLOCK_ROWS = 4096  # rows read at once
SAMPLED_ROWS = 256  # of large mapped arrays only so many rows enter the fingerprint


def check_finite(source: str, rows: np.ndarray, ids: Sequence[str]) -> None:
    """Refuse values that are no finite numbers; they would rank first in silence.

    Raises:
        DataError: The ids of the first three such rows are named.
    """
    for start in range(0, len(rows), BLOCK_ROWS):
        block = np.asarray(rows[start : start + BLOCK_ROWS])
        bad = np.flatnonzero(~np.isfinite(block).reshape(len(block), -1).all(axis=1))
        if len(bad):
            names = ", ".join(ids[start + row] for row in bad[:3])
            raise DataError(f"{source} holds values that are no finite numbers, for {names}; make the features again")


def by_hash(ids: Sequence[str], salt: str) -> Int64[np.ndarray, " rows"]:
    """Give all rows in the order of their hashed ids: random, and the same however the file is sorted."""
    keys = [hashlib.sha256(f"{salt} {item}".encode()).digest() for item in ids]
    return np.array(sorted(range(len(ids)), key=keys.__getitem__), dtype=np.int64)


def fingerprint(
    parts: Sequence[Sequence[object]], arrays: Sequence[np.ndarray], labels: Bool[np.ndarray, "rows classes"] | None
) -> str:
    """SHA-256 over plain values, arrays and labels; of an array of many rows, evenly spaced ones enter."""
    digest = hashlib.sha256(json.dumps(list(map(list, parts)), ensure_ascii=False).encode())
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype}".encode())
        rows: Sequence[int] | slice = slice(None)
        if isinstance(array, np.memmap) and len(array) > SAMPLED_ROWS:
            rows = np.linspace(0, len(array) - 1, SAMPLED_ROWS).astype(int).tolist()
        digest.update(np.ascontiguousarray(array[rows]).tobytes())
    if labels is not None:
        digest.update(np.packbits(labels, axis=1).tobytes())
    return digest.hexdigest()


def standardised(rows: np.ndarray, train: np.ndarray) -> Float32[np.ndarray, "items dim"]:
    """Shift and scale each column to mean 0 and deviation 1 over the training rows; a constant column becomes 0."""
    mean, deviation = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    deviation[deviation < 1e-8] = np.inf
    scaled: Float32[np.ndarray, "items dim"] = ((rows - mean) / deviation).astype(np.float32)
    return scaled


def item_lines(path: Path) -> list[str]:
    """Read a list file with one item a line.

    Raises:
        DataError: The file is missing or not UTF-8, or a line other than the last is empty.
    """
    found = read_lines(path)
    if "" in found:
        raise DataError(f"line {found.index('') + 1} of {path} is empty; every line stands for an item")
    return found
