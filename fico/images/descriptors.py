"""Fixed image descriptors in NumPy: colours and edges, for models that have no pretrained features.

Both work on pictures of `SIDE` by `SIDE` pixels (others are squashed to that), divided into 12 x 12 cells.

``global``, 392 values: mean colours on an 8 x 8 grid (192), colour histogram (72), edge directions on a 4 x 4
grid (8 directions each, 128).

``regions``, 36 windows x 114 values: 25 windows of a third of the side, 9 of half the side, the whole picture
and its middle. Each has its colour histogram (72), mean and deviation of the colours (6), edge directions in
its four quarters (8 each, 32) and its box (left, top, right, bottom as fractions, 4).

The colour histogram counts 60 chromatic bins (12 hues x 5 steps of saturation and value) and 12 grey levels.
Edge directions are unsigned, weighted by the strength of the edge and split between the two nearest of eight.
Histograms enter by their square root, so that a Euclidean distance between them is Hellinger's.
"""

from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from fico.images.decode import open_rgb
from fico.util.optional import requires_extra

with requires_extra("data"):
    from PIL import Image

VERSION = 2  # 1 ignored EXIF orientations and clipped 16-bit and float greys
SIDE = 96
CELLS = 12
CELL = SIDE // CELLS
COLOUR_BINS = 72
DIRECTIONS = 8
GLOBAL_DIM = 8 * 8 * 3 + COLOUR_BINS + 4 * 4 * DIRECTIONS
REGIONS = 36
REGION_DIM = COLOUR_BINS + 6 + 4 * DIRECTIONS + 4
CHROMATIC_FROM = 0.12  # largest minus smallest channel; below it a pixel counts as grey
EDGE_FLOOR = 0.02  # mean edge strength that noise alone gives; keeps blank windows near zero

Pictures = UInt8[np.ndarray, "images 96 96 3"]
Cells = Float32[np.ndarray, "images 12 12 values"]


def squash(image: Image.Image) -> UInt8[np.ndarray, "96 96 3"]:
    """Bring an RGB image to the side that the descriptors work on; its aspect ratio is not kept."""
    size = (SIDE, SIDE)
    return np.asarray(image if image.size == size else image.resize(size, Image.Resampling.BOX))


def read_picture(path: Path, name: str) -> UInt8[np.ndarray, "96 96 3"]:
    """Decode an image for the descriptors; a large JPEG at half or quarter size, which is faster.

    Args:
        path: The file.
        name: Id of the image in messages.

    Raises:
        DataError: The file is missing, damaged or not an image.
    """
    return squash(open_rgb(path, name, draft_side=2 * SIDE))


def global_descriptor(pictures: Pictures) -> Float32[np.ndarray, "images 392"]:
    """Describe whole pictures; see the module's text.

    Returns:
        Square roots of histograms and colours, all in 0..1.
    """
    images = len(pictures)
    colours = pictures.reshape(images, 8, 12, 8, 12, 3).mean(axis=(2, 4), dtype=np.float32) / 255
    histogram = np.sqrt(_colour_cells(pictures).mean(axis=(1, 2)))
    edges = _edge_cells(pictures).reshape(images, 4, 3, 4, 3, DIRECTIONS).mean(axis=(2, 4))
    parts = (colours.reshape(images, -1), histogram, _edge_fractions(edges.reshape(images, -1)))
    return np.concatenate(parts, axis=1, dtype=np.float32)


def region_descriptor(pictures: Pictures) -> Float32[np.ndarray, "images 36 114"]:
    """Describe 36 windows of each picture; see the module's text.

    Returns:
        Square roots of histograms, colours and box corners, all in 0..1.
    """
    images = len(pictures)
    rgb = pictures.reshape(images, CELLS, CELL, CELLS, CELL, 3).astype(np.float32) / 255
    mean = _windows(rgb.mean(axis=(2, 4)))
    deviation = np.sqrt(np.maximum(_windows((rgb**2).mean(axis=(2, 4))) - mean**2, 0))
    histogram = np.sqrt(_windows(_colour_cells(pictures)))
    edges = _quarters(_edge_cells(pictures))
    boxes = np.broadcast_to(window_boxes(), (images, *window_boxes().shape))
    return np.concatenate((histogram, mean, deviation, _edge_fractions(edges), boxes), axis=2, dtype=np.float32)


@cache
def window_cells() -> tuple[tuple[int, int, int], ...]:
    """Give left column, top row and side of each window, in cells."""
    thirds = [(left, top, 4) for top in range(0, 9, 2) for left in range(0, 9, 2)]
    halves = [(left, top, 6) for top in (0, 3, 6) for left in (0, 3, 6)]
    return (*thirds, *halves, (0, 0, CELLS), (2, 2, 8))


@cache
def window_boxes() -> Float32[np.ndarray, "windows 4"]:
    """Give left, top, right and bottom of each window as fractions of the side."""
    corners = [(left, top, left + side, top + side) for left, top, side in window_cells()]
    return np.array(corners, dtype=np.float32) / CELLS


def _windows(cells: Cells) -> Float32[np.ndarray, "images windows values"]:
    """Mean of the cells of each window."""
    means = [cells[:, top : top + side, left : left + side].mean(axis=(1, 2)) for left, top, side in window_cells()]
    return np.stack(means, axis=1)


def _quarters(cells: Cells) -> Float32[np.ndarray, "images windows values"]:
    """Mean of the cells in each quarter of each window, one after the other."""
    found = []
    for left, top, side in window_cells():
        half = side // 2
        window = cells[:, top : top + side, left : left + side]
        quarters = window.reshape(len(cells), 2, half, 2, half, -1).mean(axis=(2, 4))
        found.append(quarters.reshape(len(cells), -1))
    return np.stack(found, axis=1)


def _edge_fractions(edges: Float32[np.ndarray, "*rows values"]) -> Float32[np.ndarray, "*rows values"]:
    fractions: np.ndarray = np.sqrt(edges / (edges.sum(axis=-1, keepdims=True) + EDGE_FLOOR))
    return fractions


def _colour_cells(pictures: Pictures) -> Cells:
    """Fraction of each colour bin in each cell."""
    rgb = pictures.astype(np.float32) / 255
    high, low = rgb.max(axis=3), rgb.min(axis=3)
    chroma = high - low
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    safe = np.where(chroma > 0, chroma, 1)
    sector = np.where(high == red, (green - blue) / safe, np.where(high == green, 2 + (blue - red) / safe, 0))
    sector = np.where((high == blue) & (high != red) & (high != green), 4 + (red - green) / safe, sector)
    hue = np.floor(sector * 2 + 0.5).astype(np.int64) % 12  # bins are centred on red, orange, yellow, ...
    saturation = chroma / np.maximum(high, 1e-6)
    shade = np.where(saturation < 0.4, np.where(high < 0.7, 0, 1), 2 + (high > 0.4) + (high > 0.75))
    grey = 60 + np.minimum((high * 12).astype(np.int64), 11)
    bins = np.where(chroma < CHROMATIC_FROM, grey, hue * 5 + shade)
    return _count(bins, None, COLOUR_BINS) / CELL**2


def _edge_cells(pictures: Pictures) -> Cells:
    """Mean strength of edges of each direction in each cell."""
    grey = pictures.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32) / 255
    padded = np.pad(grey, ((0, 0), (1, 1), (1, 1)), mode="edge")
    across = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    strength = np.hypot(across, down)
    position = np.arctan2(down, across) * (DIRECTIONS / np.pi) % DIRECTIONS
    lower = np.floor(position)
    upper_weight = position - lower
    lower = lower.astype(np.int64) % DIRECTIONS
    both = _count(lower, strength * (1 - upper_weight), DIRECTIONS)
    both += _count((lower + 1) % DIRECTIONS, strength * upper_weight, DIRECTIONS)
    return both / CELL**2


def _count(
    bins: Int64[np.ndarray, "images 96 96"], weights: Float32[np.ndarray, "images 96 96"] | None, size: int
) -> Cells:
    """Weighted histogram of each cell."""
    images = len(bins)
    row = np.arange(SIDE) // CELL
    cell = (np.arange(images)[:, None, None] * CELLS + row[:, None]) * CELLS + row
    flat = np.bincount(
        (cell * size + bins).ravel(),
        None if weights is None else weights.ravel(),
        minlength=images * CELLS * CELLS * size,
    )
    return flat.reshape(images, CELLS, CELLS, size).astype(np.float32)
