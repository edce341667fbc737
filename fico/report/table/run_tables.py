"""The tables that a run prints: percents, each with its 95 % interval and the level of chance beside it."""

from collections.abc import Iterable
from typing import Any, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from fico.report.results.schema import Metric, Results, SearchRow, is_rank

WIDTH = 100  # columns; a wider terminal would only tear the numbers apart
DIRECTIONS = {"i2t": "image to text", "t2i": "text to image"}
SHOWN = {
    "instance": ("R@1", "R@5", "R@10", "MedR"),
    "category": ("mAP@10", "mAP@100", "mAP@N"),
}
TITLES = {
    "instance": "Instance level: the query's own partner is right",
    "category": "Category level: every item that shares a label is right",
}
TASK_COLUMNS = ("R@10", "mAP@100")  # of the task through an index
BINARY = ("B", "KiB", "MiB", "GiB", "TiB")


def print_results(results: Results, file: TextIO | None = None) -> None:
    """Prints all tables of a run, in colour on a terminal and as plain text elsewhere.

    Args:
        results: A finished run.
        file: Where to print; standard output if not given.
    """
    Console(file=file, width=WIDTH, highlight=False).print(results_view(results))


def results_view(results: Results) -> RenderableType:
    """All tables of a run as one rich object of at most 100 columns."""
    tables = [_metric_table(results, task) for task in SHOWN if _has(results, task)]
    if results.search:
        tables.append(search_table(results.search))
    parts: list[RenderableType] = [Text(headline(results), style="bold"), ""]
    for table in tables:
        parts += [table, ""]
    if results.efficiency:
        parts.append(Text("; ".join(f"{name} {value}" for name, value in efficiency_lines(results.efficiency))))
    parts += [Text(note, style="yellow") for note in results.notes]
    return Group(*parts)


def metric_names(results: Results, task: str) -> list[str]:
    """Names of a task's metrics in their order, without the points of curves (``PR@...``) and chance."""
    names: dict[str, None] = {}
    for key in results.metrics:
        _, found, way, name = [*key.split("/", 3), "", "", ""][:4]
        if found == task and way in DIRECTIONS and "/" not in name and not name.startswith("PR@"):
            names[name] = None
    return list(names)


def headline(results: Results) -> str:
    """Model, data and counts in one line."""
    model, data = results.model, results.data
    dense = f"{model.dim}-D {model.dtype}" if model.dim else f"{model.dtype} scores"
    kind = f"{model.bits}-bit codes" if model.bits else dense
    size = f" ({model.size})" if model.size else ""
    return (
        f"{model.name}{size}, {kind}, on {data.name} {data.split}: {data.images:,} images, {data.captions:,} captions"
    )


def shown(name: str, value: float) -> str:
    """A metric's value as a reader wants it: percent without the sign, or a rank as it is."""
    if not is_rank(name):
        return f"{100 * value:.2f}"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}".removesuffix(".0")


def interval(name: str, metric: Metric) -> str:
    """The 95 % interval, as ``low-high`` in the unit of ``shown``."""
    return _span(name, metric.low, metric.high)


def bounds(name: str, metric: Metric) -> str:
    """What the order of tied items could make of the value, worst to best; empty without ties."""
    if metric.pessimistic is None or metric.optimistic is None:
        return ""
    return _span(name, metric.pessimistic, metric.optimistic)


def bytes_text(size: float) -> str:
    """A size in the binary unit that leaves one to four digits before the point."""
    unit = 0
    while abs(size) >= 1024 and unit < len(BINARY) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:,.0f} {BINARY[unit]}" if unit == 0 else f"{size:,.1f} {BINARY[unit]}"


def seconds_text(seconds: float) -> str:
    """A duration in the unit that leaves one to three digits before the point."""
    if seconds == 0:
        return "0 s"
    for limit, factor, unit in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms")):
        if seconds < limit:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.2f} s" if seconds < 600 else f"{seconds / 60:,.1f} min"


def efficiency_lines(efficiency: dict[str, Any]) -> list[tuple[str, str]]:
    """Times and sizes with their names spelt out and their units chosen; what is None is left out."""
    lines = []
    for key, value in efficiency.items():
        if value is None:
            continue
        name, _, unit = key.rpartition("_")
        if isinstance(value, int | float) and unit in ("seconds", "bytes"):
            text = seconds_text(value) if unit == "seconds" else bytes_text(value)
        else:
            name, text = key, f"{value:,.4g}" if isinstance(value, float) else str(value)
        lines.append((name.replace("_", " ").capitalize(), text))
    return lines


def search_table(rows: Iterable[SearchRow]) -> Table:
    """Comparison of indexes: times, size, and how well each finds what exact search finds."""
    rows = tuple(rows)
    top1 = sorted({k for row in rows for k in row.top1_in_k})
    overlap = sorted({k for row in rows for k in row.overlap_at_k})
    table = Table(
        title="Search: share of what exact search finds, in %",
        box=SIMPLE_HEAD,
        padding=(0, 1),
        show_edge=False,
        pad_edge=False,
        title_justify="left",
    )
    table.add_column("index", overflow="fold")
    for heading in ("queries\nin items", "build", "search", "size"):
        table.add_column(heading, justify="right", no_wrap=True)
    task = [name for name in TASK_COLUMNS if any(name in row.details.get("task", {}) for row in rows)]
    top1 = top1[:1] if task else top1[-3:]
    headings = [f"top 1\nin {k}" for k in top1] + [f"overlap\nat {k}" for k in overlap[-1:]]
    for heading in (*headings, *(f"task's\n{name}" for name in task)):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        shares = [row.top1_in_k.get(k) for k in top1] + [row.overlap_at_k.get(k) for k in overlap[-1:]]
        shares += [row.details.get("task", {}).get(name) for name in task]
        table.add_row(
            f"{row.index} {row.details.get('direction', '')}".rstrip(),
            f"{row.queries:,} in {row.items:,}",
            seconds_text(row.build_seconds),
            seconds_text(row.search_seconds),
            bytes_text(row.index_bytes),
            *("-" if share is None else f"{100 * share:.1f}" for share in shares),
        )
    return table


def _span(name: str, start: float, end: float) -> str:
    """Both ends, short: one digit behind the point, no thousands separator, so that a table fits its columns."""
    if is_rank(name):
        return "-".join(shown(name, value).replace(",", "") for value in (start, end))
    return f"{100 * start:.1f}-{100 * end:.1f}"


def _has(results: Results, task: str) -> bool:
    return any(results.metric(f"{task}/{way}/{name}") for way in DIRECTIONS for name in SHOWN[task])


def _metric_table(results: Results, task: str) -> Table:
    metrics = {(way, name): results.metric(f"{task}/{way}/{name}") for way in DIRECTIONS for name in SHOWN[task]}
    tied = any(metric is not None and bounds("", metric) for metric in metrics.values())
    table = Table(
        title=TITLES[task], box=SIMPLE_HEAD, padding=(0, 1), show_edge=False, pad_edge=False, title_justify="left"
    )
    table.add_column("%", no_wrap=True)
    for words in DIRECTIONS.values():
        table.add_column(words.replace(" ", "\n", 1), justify="right", style="bold", no_wrap=True)
        table.add_column("95 %\ninterval", justify="right", no_wrap=True)
        if tied:
            table.add_column("order\nof ties", justify="right", style="dim", no_wrap=True)
        table.add_column("chance", justify="right", style="dim", no_wrap=True)
    for name in SHOWN[task]:
        cells: list[str] = []
        for way in DIRECTIONS:
            cells.extend(_cells(name, metrics[way, name], results.metric(f"{task}/{way}/chance/{name}"), tied))
        table.add_row(name, *cells)
    return table


def _cells(name: str, metric: Metric | None, chance: Metric | None, tied: bool) -> list[str]:
    if metric is None:
        return ["-"] * (4 if tied else 3)
    return [
        shown(name, metric.value),
        interval(name, metric),
        *([bounds(name, metric)] if tied else []),
        "-" if chance is None else shown(name, chance.value),
    ]
