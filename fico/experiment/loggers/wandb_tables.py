"""A run's metrics, sample queries and curves as tables, pictures and line series of W&B."""

from collections.abc import Mapping, Sequence
from typing import Any

from fico.errors import DataError
from fico.images.decode import open_rgb
from fico.metrics.specification import DIRECTIONS
from fico.report.html.samples import Hit, Item, QuerySample
from fico.report.results.display import both_names, metric_names, shown_tasks
from fico.report.results.schema import Results
from fico.util.optional import requires_extra

with requires_extra("data"):
    from PIL import ImageOps

FRAMES = {True: "#1a7f37", False: "#d0d7de"}  # colours around a relevant and a non-relevant image
SIDE, FRAME = 128, 4  # pixels
LOGGED = ("value", "low", "high", "queries", "unit", "definition")


def metrics_table(results: Results) -> Any:
    """One row for each metric and direction but the points of curves: value, interval, chance, unit, definition.

    The direction of metrics of both together is empty.
    """
    import wandb

    names: list[tuple[str, str, str]] = [
        (task, way, name) for task in shown_tasks(results) for name in metric_names(results, task) for way in DIRECTIONS
    ]
    names += [(task, "", name) for task, _, name in (key.partition("/") for key in both_names(results))]
    rows = [
        [task, way, name, *(getattr(metric, part) for part in LOGGED), chance and chance.value]
        for task, way, name in names
        for where in [f"{task}/{way}" if way else task]
        if (metric := results.metric(f"{where}/{name}")) is not None
        for chance in [results.metric(f"{where}/chance/{name}")]
    ]
    return wandb.Table(columns=["task", "direction", "metric", *LOGGED, "chance"], data=rows)


def sample_tables(samples: Sequence[QuerySample]) -> dict[str, Any]:
    """``samples/{direction}``: query, rank of its first relevant item, and the items found, relevant ones marked."""
    tables = {f"samples/{way}": _samples([each for each in samples if each.direction == way]) for way in DIRECTIONS}
    return {key: table for key, table in tables.items() if table is not None}


def line_series(lines: Mapping[str, Sequence[tuple[float, float]]], title: str, across: str) -> Any:
    """A chart of W&B with one line for each name.

    Args:
        lines: Points ``(x, y)`` by the line's name.
        title: Of the chart.
        across: What the horizontal axis shows.
    """
    import wandb

    xs, ys = ([[point[axis] for point in points] for points in lines.values()] for axis in (0, 1))
    return wandb.plot.line_series(xs, ys, keys=list(lines), title=title, xname=across)


def _samples(samples: Sequence[QuerySample]) -> Any:
    import wandb

    if not samples:
        return None
    depth = max(len(sample.hits) for sample in samples)
    columns = ["query", "rank of the first relevant item", "items", *(f"found {n + 1}" for n in range(depth))]
    rows = [
        [_shown(sample.query), sample.first_match_rank, sample.items, *map(_hit, sample.hits)] for sample in samples
    ]
    return wandb.Table(columns=columns, data=[row + [None] * (len(columns) - len(row)) for row in rows])


def _hit(hit: Hit) -> Any:
    mark = "relevant" if hit.is_match else "shares a label" if hit.shared_labels else ""
    return _shown(hit.item, mark, FRAMES[hit.is_match])


def _shown(item: Item, mark: str = "", frame: str | None = None) -> Any:
    """A caption after its mark, or a small image with it; the id of an image whose file is gone or damaged."""
    import wandb

    if item.image is None:
        return f"[{mark}] {item.text}" if mark else item.text
    try:
        small = open_rgb(item.image, item.item_id)
    except DataError:
        return item.item_id
    small.thumbnail((SIDE, SIDE))
    shown = small if frame is None else ImageOps.expand(small, FRAME, frame)
    return wandb.Image(shown, caption=mark or None, file_type="jpg")
