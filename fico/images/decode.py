"""The one way to open an image: any file that Pillow reads, or a Pillow image, becomes upright 8-bit RGB."""

from pathlib import Path

import numpy as np

from fico.errors import DataError
from fico.util.optional import requires_extra

with requires_extra("data"):
    from PIL import Image, ImageOps


def open_rgb(source: Path | Image.Image, name: str = "", *, draft_side: int | None = None) -> Image.Image:
    """Decode an image to RGB: turned as its EXIF orientation says, 16-bit and float greys scaled, of frames the first.

    Palettes and CMYK are converted by Pillow. An alpha channel is dropped, as the public loaders of the models do.

    Args:
        source: A file, or an image that is open already.
        name: Id of the image in messages; default: none.
        draft_side: Let the JPEG decoder halve the image while both sides stay at least this long, in pixels.

    Raises:
        DataError: The file is missing, damaged, too large or not an image, or holds floats outside of 0 to 1.
    """
    label = f"image {name}" if name else "the image"
    if isinstance(source, Image.Image):
        return _decoded(source, label)
    try:
        with Image.open(source) as image:
            if draft_side is not None:
                image.draft("RGB", (draft_side, draft_side))
            return _decoded(image, f"{label}: {source}")
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{label} has no file {source}; put it there or take it out of the data set") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{label}: {source} is too large to decode ({error}); save it with fewer pixels") from error
    except Exception as error:  # on a damaged file each of Pillow's decoders raises errors of its own
        raise DataError(f"{label}: {source} is truncated or not an image ({error}); fetch the file again") from error


def _decoded(image: Image.Image, label: str) -> Image.Image:
    upright = ImageOps.exif_transpose(image)
    if upright.mode == "F":
        return Image.fromarray(_unit_floats_as_bytes(np.asarray(upright), label)).convert("RGB")
    if upright.mode.startswith("I"):  # 16-bit greys, which Pillow's own conversion would clip to white
        return Image.fromarray((np.asarray(upright).clip(0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if upright.mode == "P" and "transparency" in upright.info:  # straight to RGB Pillow warns
        upright = upright.convert("RGBA")
    return upright.convert("RGB")


def _unit_floats_as_bytes(grey: np.ndarray, label: str) -> np.ndarray:
    """Scale floats of 0 to 1; nothing in a file says what other ranges mean."""
    if not ((grey >= 0) & (grey <= 1)).all():  # NaN too
        raise DataError(
            f"{label} holds floats from {grey.min():g} to {grey.max():g}, expected 0 to 1; scale them, or save the "
            "image with 8 or 16 bits a channel"
        )
    return (grey * 255).round().astype(np.uint8)
