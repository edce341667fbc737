"""A hash of what an image shows, equal or nearly equal for copies that were re-encoded or resized.

Of the luminance, shrunk to 32 x 32, the discrete cosine transform keeps the 8 x 8 lowest frequencies; each of them,
the constant left aside, gives one bit: whether it is above their median.

Source:
    Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010: the DCT-based hash (pHash).
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8, UInt64
from scipy.fft import dctn

from fico.images.decode import open_rgb
from fico.util.optional import requires_extra

with requires_extra("data"):
    from PIL import Image

SIDE, FREQUENCIES = 32, 8
BITS = FREQUENCIES**2 - 1


def thumbnail(path: Path, name: str = "") -> UInt8[np.ndarray, "32 32"]:
    """Luminance of an image file, squashed to 32 x 32.

    Raises:
        DataError: As for `fico.images.decode.open_rgb`.
    """
    grey = open_rgb(path, name, draft_side=4 * SIDE).convert("L")
    return np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def perceptual_hashes(thumbnails: UInt8[np.ndarray, "images 32 32"]) -> UInt64[np.ndarray, " images"]:
    """The hash of each thumbnail, 63 bits; copies differ in few of them, other images in about half."""
    spectrum = dctn(thumbnails.astype(np.float32), axes=(1, 2), norm="ortho")
    low = spectrum[:, :FREQUENCIES, :FREQUENCIES].reshape(len(thumbnails), BITS + 1)[:, 1:]
    bits = low > np.median(low, axis=1, keepdims=True)
    weights = np.left_shift(np.uint64(1), np.arange(BITS, dtype=np.uint64))
    hashes: np.ndarray = (bits * weights).sum(axis=1, dtype=np.uint64)
    return hashes


def correlations(
    first: UInt8[np.ndarray, "pairs 32 32"], second: UInt8[np.ndarray, "pairs 32 32"]
) -> Float32[np.ndarray, " pairs"]:
    """Pearson correlation of the pixels of each pair of thumbnails; 0 where one of them is of one shade."""
    a, b = (_standardised(thumbnails) for thumbnails in (first, second))
    values: np.ndarray = (a * b).sum(axis=1)
    return values


def _standardised(thumbnails: UInt8[np.ndarray, "pairs 32 32"]) -> Float32[np.ndarray, "pairs pixels"]:
    rows = thumbnails.reshape(len(thumbnails), SIDE * SIDE).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    standardised: np.ndarray = rows / np.where(norms > 0, norms, 1)
    return standardised
