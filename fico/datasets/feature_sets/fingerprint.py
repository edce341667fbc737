"""A hash of what a split of features holds."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from fico.util.digests.cached import file_digests

MAPPED_ROWS = 256  # a mapped array of more rows is not read through the map but by its file


def fingerprint(
    parts: Sequence[Sequence[object]], arrays: Sequence[np.ndarray], labels: Bool[np.ndarray, "rows classes"] | None
) -> str:
    """SHA-256 over plain values, arrays and labels; of a large mapped array, over the digest of its file.

    That digest is cached by size and time of change; see `fico.util.digests.cached`.
    """
    digest = hashlib.sha256(json.dumps(list(map(list, parts)), ensure_ascii=False).encode())
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype}".encode())
        if isinstance(array, np.memmap) and len(array) > MAPPED_ROWS and array.filename:
            digest.update(file_digests([Path(array.filename)])[0].encode())
        else:
            digest.update(np.ascontiguousarray(array).tobytes())
    if labels is not None:
        digest.update(np.packbits(labels, axis=1).tobytes())
    return digest.hexdigest()
