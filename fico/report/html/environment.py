"""The Jinja environment of every page: templates, filters, thumbnails."""

import base64
import io
from functools import cache
from pathlib import Path

from fico.errors import DataError
from fico.images.decode import open_rgb
from fico.util.optional import requires_extra
from fico.util.units import bytes_text, seconds_text

with requires_extra("report"):
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

THUMBNAIL = 128  # pixels of the longer side


@cache
def page_environment(package: str = "fico.report.html") -> Environment:
    """Of the templates of a package and those of this one: every value is escaped, and a missing one is an error.

    One for all pages, since it compiles its templates once.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in dict.fromkeys((package, "fico.report.html"))]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "thumbnail": thumbnail,
        "bytes": bytes_text,
        "seconds": seconds_text,
        "score": score_text,
    }
    return environment


@cache
def thumbnail(path: Path) -> str | None:
    """An image as a small JPEG in a data URI; None where the file is missing or no image."""
    try:
        small = open_rgb(path)
    except DataError:
        return None
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def score_text(score: float) -> str:
    """A similarity with three digits; Hamming's, the negative number of differing bits, as the whole number it is."""
    return str(round(score)) if score == round(score) else f"{score:.3f}"
