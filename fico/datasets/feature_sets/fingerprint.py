"""A hash of what a split of features holds."""

import hashlib
import json
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

SAMPLED_ROWS = 256  # of large mapped arrays only this many rows enter the fingerprint


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
