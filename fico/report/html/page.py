"""``report.html``: one file with everything in it, readable offline, by day and by night."""

import base64
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup

from fico.errors import DataError
from fico.images.decode import open_rgb
from fico.report.figures import curves as figures
from fico.report.html.samples import QuerySample
from fico.report.results.schema import Metric, Results, is_rank
from fico.report.table import run_tables as tables
from fico.util.atomic import atomic_write
from fico.util.optional import requires_extra

with requires_extra("report"):
    from jinja2 import Environment, PackageLoader, StrictUndefined

THUMBNAIL = 128  # pixels of the longer side


@dataclass(frozen=True, slots=True)
class Cell:
    """One metric in one direction as the page shows it; ``bar`` holds percents for the small scale."""

    value: str
    interval: str
    chance: str
    bounds: str
    bar: dict[str, float] | None


@dataclass(frozen=True, slots=True)
class Row:
    """One metric in both directions."""

    name: str
    definition: str
    cells: tuple[Cell | None, ...]


def write_report(path: Path, results: Results, samples: Sequence[QuerySample] = ()) -> None:
    """Writes the page, whole or not at all.

    Args:
        path: The HTML file.
        results: A finished run.
        samples: Queries to show, from ``sample_queries``; none leaves the section out.
    """
    rows = {task: _rows(results, task) for task in tables.TITLES}
    page = (
        page_environment()
        .get_template("report.html.jinja")
        .render(
            r=results,
            headline=tables.headline(results),
            rows=rows,
            has_ties=any(cell and cell.bounds for found in rows.values() for row in found for cell in row.cells),
            recall_curve=_markup(figures.recall_curve(results)),
            precision_recall_curve=_markup(figures.precision_recall_curve(results)),
            efficiency=tables.efficiency_lines(results.efficiency),
            search=_search(results),
            has_directions=any("direction" in row.details for row in results.search),
            samples={way: [s for s in samples if s.direction == way] for way in tables.DIRECTIONS},
            directions=tables.DIRECTIONS,
            config=json.dumps(results.config, indent=2, ensure_ascii=False),
        )
    )
    with atomic_write(Path(path)) as temporary:
        temporary.write_text(page, encoding="utf-8")


def page_environment() -> Environment:
    """Of the templates beside this module: every value is escaped, and a missing one is an error."""
    environment = Environment(
        loader=PackageLoader("fico.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "thumbnail": thumbnail,
        "bytes": tables.bytes_text,
        "seconds": tables.seconds_text,
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


def _markup(svg: str | None) -> Markup | None:
    return None if svg is None else Markup(svg)  # noqa: S704 - made by our own figures from numbers and fixed words


def _rows(results: Results, task: str) -> list[Row]:
    rows = []
    for name in tables.metric_names(results, task):
        metrics = [results.metric(f"{task}/{way}/{name}") for way in tables.DIRECTIONS]
        known = [metric for metric in metrics if metric is not None]
        if known:
            cells = tuple(
                None if metric is None else _cell(name, metric, results.metric(f"{task}/{way}/chance/{name}"))
                for way, metric in zip(tables.DIRECTIONS, metrics, strict=True)
            )
            rows.append(Row(name, known[0].definition, cells))
    return rows


def _cell(name: str, metric: Metric, chance: Metric | None) -> Cell:
    bar = None
    if not is_rank(name):
        bar = {"value": 100 * metric.value, "low": 100 * metric.low, "high": 100 * metric.high}
        bar["chance"] = 100 * chance.value if chance else math.nan
    return Cell(
        tables.shown(name, metric.value),
        tables.interval(name, metric),
        tables.shown(name, chance.value) if chance else "–",
        tables.bounds(name, metric),
        bar,
    )


def _search(results: Results) -> dict[str, list[Any]]:
    return {
        "top1": sorted({k for row in results.search for k in row.top1_in_k}),
        "overlap": sorted({k for row in results.search for k in row.overlap_at_k} - {1}),  # at 1 it is "top 1 in 1"
        "task": list(dict.fromkeys(name for row in results.search for name in row.details.get("task", {}))),
    }
