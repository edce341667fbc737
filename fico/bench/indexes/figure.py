"""Indexes on the embeddings of a run: recall relative to exact search against CPU time."""

from collections.abc import Mapping, Sequence
from typing import Any

from fico.report.figures.files import COLOURS, INK, MARKERS, style
from fico.report.results.display import DIRECTION_NAMES
from fico.util.optional import requires_extra
from fico.util.units import bytes_text

with requires_extra("report"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter


def draw(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Overlap with exact search over CPU time, one panel per direction.

    Args:
        rows: As ``compare_indexes`` gives them.
    """
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    directions = list(dict.fromkeys(row["direction"] for row in rows))
    for axes, direction in zip(figure.subplots(1, len(directions), squeeze=False)[0], directions, strict=True):
        shown = [row for row in rows if row["direction"] == direction]
        for number, row in enumerate(shown):
            _mark(axes, row, number)
        k = _cut(shown[0])
        style(axes, "CPU µs per query", f"of the {k} exact nearest found, in %")
        axes.set_title(f"{DIRECTION_NAMES[direction]}, {shown[0]['items']:,} items", color=INK, fontsize=10)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_ylim(0, 104)
        axes.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def _mark(axes: Axes, row: Mapping[str, Any], number: int) -> None:
    cost = 1e6 * row["search_cpu_seconds"] / row["queries"]
    label = f"{row['index']}, {bytes_text(row['index_bytes'])}"
    marks: dict[str, Any] = {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": "none",
    }
    axes.plot([cost], [100 * row["overlap_at_k"][_cut(row)]], markersize=8, label=label, clip_on=False, **marks)


def _cut(row: Mapping[str, Any]) -> int:
    """The second k where there is one, 10 by default: at 1 the two recalls are the same, at 100 few look."""
    ks = sorted(row["overlap_at_k"])
    return int(ks[min(1, len(ks) - 1)])
