"""Images as pixels, for models that encode the image itself: decoded on access."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float32, UInt8

from fico.datasets.base import RetrievalSplit
from fico.errors import UsageError
from fico.images.decode import open_rgb
from fico.util.optional import requires_extra
from fico.util.progress import track

with requires_extra("data"):
    from PIL import Image, ImageOps

Resample = Literal["bicubic", "bilinear", "lanczos"]
IN_MEMORY_BYTES = 256 * 2**20  # a split whose squares of bytes take no more is decoded once


@dataclass(frozen=True, slots=True)
class Pixels:
    """Preprocessing of an image: RGB, squashed to a square, normalised by channel.

    Args:
        size: Side of the square, in pixels.
        mean: Of each channel, in 0..1.
        std: Of each channel.
        resample: Filter of Pillow, which averages over the area when it shrinks.
        augment: In training, cut a random part out (area 0.5 to 1 of the image, sides 3:4 to 4:3) and mirror every
            other image.

    Raises:
        UsageError: The size is below 1, mean or std are not three numbers, or there is no such filter.

    Differs:
        The originals ignore the orientation that a camera notes in the file and clip 16-bit greys to white; here the
        image is turned upright and its range kept. RandAugment is left out.
    """

    size: int
    mean: Sequence[float]
    std: Sequence[float]
    resample: Resample = "bicubic"
    augment: bool = False

    def __post_init__(self) -> None:
        if self.size < 1:
            raise UsageError(f"the side of an image is {self.size} pixels; it starts at 1")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise UsageError(f"mean {list(self.mean)} and std {list(self.std)} must be three numbers, std above 0")
        if self.resample not in get_args(Resample):
            raise UsageError(f"resample is {self.resample!r}; choose one of {', '.join(get_args(Resample))}")
        for name in ("mean", "std"):  # plain tuples travel to the processes that decode
            object.__setattr__(self, name, tuple(map(float, getattr(self, name))))

    @property
    def sizes(self) -> dict[str, int]:
        """``image_size``."""
        return {"image_size": self.size}

    @property
    def origin(self) -> str:
        """What was made of the images, in a few words."""
        varied = ", varied in training" if self.augment else ""
        return f"pixels, {self.size} x {self.size} ({self.resample}){varied}"

    def rows(self, split: RetrievalSplit, *, progress: bool = True) -> "PixelRows":
        """The images of a split. A small split is decoded now; of a large one each image on access.

        Raises:
            DataError: A file is missing or broken (its id is named); of a large split on access.
        """
        count = len(split.image_ids)
        if count * 3 * self.size**2 > IN_MEMORY_BYTES:
            return PixelRows(self, split.image_ids, split.image_paths, None)
        squares = np.empty((count, self.size, self.size, 3), np.uint8)
        files = zip(split.image_paths, split.image_ids, strict=True)
        for row, file in enumerate(track(files, count, f"Decoding {split.name} images", is_shown=progress)):
            squares[row] = self.square(open_rgb(*file))
        return PixelRows(self, split.image_ids, split.image_paths, squares)

    def square(self, image: Image.Image) -> UInt8[np.ndarray, "size size rgb"]:
        """Squash an image; its aspect ratio is not kept, and nothing is cut off."""
        filtered = image.resize((self.size, self.size), Image.Resampling[self.resample.upper()])
        return np.asarray(filtered)

    def normalise(self, square: UInt8[np.ndarray, "size size rgb"]) -> Float32[np.ndarray, "rgb size size"]:
        """Bytes to channels of mean 0 and deviation 1 over the images that mean and std were taken from."""
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        scaled = (square.astype(np.float32) / np.float32(255) - mean) / std
        return np.ascontiguousarray(scaled.transpose(2, 0, 1), dtype=np.float32)

    def varied(self, image: Image.Image, random: np.random.Generator) -> Image.Image:
        """A random part of the image, perhaps mirrored."""
        box = _random_box(*image.size, random)
        part = image.crop(box)
        return ImageOps.mirror(part) if random.random() < 0.5 else part


class PixelRows(Sequence[np.ndarray]):
    """One array ``3 size size`` for each image of a split.

    Args:
        pixels: How an image is made.
        image_ids: Named in errors.
        paths: One file per image.
        squares: Bytes of the squashed images, where they were decoded already.
        is_varied: `varied` varies each image, as `Pixels.augment` says.
    """

    def __init__(
        self,
        pixels: Pixels,
        image_ids: Sequence[str],
        paths: Sequence[Path],
        squares: UInt8[np.ndarray, "images size size rgb"] | None,
        is_varied: bool = False,
    ) -> None:
        self._pixels, self._ids, self._paths = pixels, image_ids, paths
        self._squares = squares
        self._is_varied = is_varied

    @property
    def is_lazy(self) -> bool:
        """Whether each row costs reading a file, so that several processes should."""
        return self._squares is None or self._is_varied

    @property
    def row_bytes(self) -> int:
        """Bytes that are stored for an image but its file: none."""
        return 0

    def for_training(self) -> "PixelRows":
        """The same images, which `varied` varies where the model wants that."""
        return PixelRows(self._pixels, self._ids, self._paths, self._squares, is_varied=self._pixels.augment)

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, row: int) -> Float32[np.ndarray, "rgb size size"]:  # type: ignore[override]
        if self._squares is not None:
            return self._pixels.normalise(self._squares[row])
        return self._pixels.normalise(self._pixels.square(open_rgb(self._paths[row], self._ids[row])))

    def varied(self, row: int, random: np.random.Generator) -> Float32[np.ndarray, "rgb size size"]:
        """An image as a training takes it."""
        if not self._is_varied:
            return self[row]
        image = self._pixels.varied(open_rgb(self._paths[row], self._ids[row]), random)
        return self._pixels.normalise(self._pixels.square(image))


def centre_crop(image: Image.Image, side: int, shorter: int) -> UInt8[np.ndarray, "side side rgb"]:
    """Shrink or enlarge an RGB image (bilinear) and cut the square out of its centre.

    Args:
        image: Any size.
        side: Of the square, in pixels.
        shorter: Length that the image's shorter side takes first, in pixels.
    """
    width, height = image.size
    least = min(width, height)
    size = (shorter * width // least, shorter * height // least)
    left, top = (round((length - side) / 2) for length in size)
    resized = image.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(resized.crop((left, top, left + side, top + side)))


def _random_box(width: int, height: int, random: np.random.Generator) -> tuple[int, int, int, int]:
    """Corners of a part with 0.5 to 1 of the area and sides of 3:4 to 4:3, or of the middle where none fits."""
    for _ in range(10):
        area = width * height * random.uniform(0.5, 1.0)
        ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < high <= height:
            left, top = (int(random.integers(space + 1)) for space in (width - wide, height - high))
            return left, top, left + wide, top + high
    wide, high = min(width, round(height * 4 / 3)), min(height, round(width * 4 / 3))
    left, top = (width - wide) // 2, (height - high) // 2
    return left, top, left + wide, top + high
