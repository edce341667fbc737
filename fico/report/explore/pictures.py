"""Pictures of a page within a budget of bytes: the more there are, the smaller."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

from fico.errors import DataError
from fico.images.decode import open_rgb
from fico.util.optional import requires_extra
from fico.util.progress import track

with requires_extra("report"):
    from PIL import Image

SIDES = (320, 256, 192, 144, 112, 80, 56)  # pixels of the longer side
QUALITY = 76
SAMPLE = 24  # pictures that the size is chosen by
SLACK = 1.15  # of the sample's mean, as other pictures may be larger


def small_pictures(paths: Sequence[Path], budget: int) -> list[str | None]:
    """Each image as a JPEG in a data URI, all of one size that fits the budget; None where it cannot be read.

    Args:
        paths: Image files.
        budget: Bytes of all URIs together; more only where the smallest size does not fit.
    """
    side = _side(paths, budget)
    return [_picture(path, side) for path in track(paths, len(paths), "Shrinking pictures")]


def _side(paths: Sequence[Path], budget: int) -> int:
    sample = [image for path in paths[:: max(1, len(paths) // SAMPLE)] if (image := _opened(path, SIDES[0]))]
    for side in SIDES:
        if sum(len(_uri(image, side)) for image in sample) * len(paths) * SLACK <= budget * max(1, len(sample)):
            return side
    return SIDES[-1]


def _picture(path: Path, side: int) -> str | None:
    image = _opened(path, side)
    return None if image is None else _uri(image, side)


def _opened(path: Path, side: int) -> Image.Image | None:
    try:
        return open_rgb(path, draft_side=side)
    except DataError:
        return None


def _uri(image: Image.Image, side: int) -> str:
    small = image.copy()
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
