"""Writes ``explore.html``: one file with pictures, captions, rankings and script, readable offline."""

import json
from importlib.resources import files
from pathlib import Path

from fico.report.explore.content import Explored
from fico.report.html.environment import page_environment
from fico.report.results.display import DIRECTION_NAMES
from fico.util.atomic import atomic_write
from fico.util.optional import requires_extra

with requires_extra("report"):
    from markupsafe import Markup


def write_explore(path: Path, explored: Explored) -> None:
    """Writes the page by an atomic write.

    Args:
        path: The HTML file.
        explored: The runs, from `fico.report.explore.content.explored`.
    """
    script = files("fico.report.explore").joinpath("static", "explore.js").read_text(encoding="utf-8")
    images, captions = len(explored.store.image_ids), len(explored.captions)
    page = (
        page_environment("fico.report.explore")
        .get_template("explore.html.jinja")
        .render(
            name=explored.name,
            size=f"{images:,} images, {captions:,} captions",
            labels=[run.label for run in explored.runs],
            classes=sorted(enumerate(explored.classes), key=lambda each: each[1]),
            directions=DIRECTION_NAMES,
            left_out=explored.left_out,
            queries={way: len(rows) for way, rows in explored.queries.items()},
            totals={"i2t": images, "t2i": captions},
            data=_embedded(explored),
            script=Markup(script),  # noqa: S704 - our own file
        )
    )
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _embedded(explored: Explored) -> Markup:
    """JSON that no caption can end: ``<`` is the only letter by which a script element is left."""
    text = json.dumps(explored.as_json(), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))  # noqa: S704 - escaped for its place above
