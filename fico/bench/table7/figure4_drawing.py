"""The two panels of Figure 4."""

from collections.abc import Mapping, Sequence
from typing import Any

from fico.bench.timing import threads_text
from fico.report.figures.files import COLOURS, INK, MARKERS, style
from fico.report.paper.published_search import PAPER
from fico.util.optional import requires_extra

with requires_extra("report"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

NAMES = {
    "flat": "flat, floats",
    "hnsw": "HNSW, floats",
    "binary_flat": "flat, codes",
    "binary_ivf": "IVF, codes",
    "popcount": "popcount, codes",
    "hybrid": "hybrid",
}
_FEWEST = 0.12  # opacity of the smallest size


def draw(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Left, how often the exact nearest item is among the first k; right, cost of a query against size.

    Args:
        rows: Of Table 7, of one number of items or several. Smaller ones are paler; on the right a line joins the
            sizes of one index. Hollow marks are the paper's, where it has the same sizes.
    """
    figure = Figure(figsize=(11.5, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    sizes = sorted({row["items"] for row in rows})
    for number, name in enumerate(dict.fromkeys(row["index"] for row in rows)):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        of_index = sorted((row for row in rows if row["index"] == name), key=lambda row: row["items"])
        for row in of_index:
            opacity = _opacity(sizes.index(row["items"]), len(sizes))
            marks = {"color": colour, "marker": marker, "alpha": opacity, "markersize": 11 - 1.3 * number}  # nested
            _recall(left, row, NAMES.get(name, name) if row is of_index[-1] else None, marks)
        _cost(right, of_index, colour, marker, NAMES.get(name, name))
    pairs = sorted({(row["items"], row["all_queries"]) for row in rows})
    shown = "; ".join(f"{queries:,} queries in {items:,} items" for items, queries in pairs)
    figure.suptitle(f"{shown}; {threads_text(rows[0]['threads'])}", color=INK, fontsize=11)
    _finish(left, right, sorted({k for row in rows for k in row["top1_in_k"]}))
    return figure


def _opacity(position: int, sizes: int) -> float:
    return 1.0 if sizes == 1 else _FEWEST + (1 - _FEWEST) * (position + 1) / sizes


def _recall(axes: Axes, row: Mapping[str, Any], label: str | None, marks: dict[str, Any]) -> None:
    ks = sorted(row["top1_in_k"])
    values = [100 * row["top1_in_k"][k] for k in ks]
    axes.plot(ks, values, linewidth=1.4, label=label, **marks)
    paper = PAPER.get((row["all_queries"], row["items"]), {}).get(row["index"])
    if paper is not None and paper.recall:
        known = sorted(paper.recall)
        theirs = marks | {"markersize": 14, "markerfacecolor": "none", "linestyle": "none"}
        axes.plot(known, [paper.recall[k] for k in known], **theirs)


def _cost(axes: Axes, rows: Sequence[Mapping[str, Any]], colour: str, marker: str, name: str) -> None:
    across = [row["index_bytes"] / 1e6 for row in rows]
    up = [1e6 * row["search_cpu_seconds"] / row["queries"] for row in rows]
    axes.plot(across, up, color=colour, marker=marker, markersize=7, linewidth=1.2)
    first = min(rows[-1]["top1_in_k"])
    top1 = f"{100 * rows[-1]['top1_in_k'][first]:.1f} %"
    offset: dict[str, Any] = {"xytext": (0, 7), "textcoords": "offset points", "ha": "center"}
    axes.annotate(f"{name}, {top1}", (across[-1], up[-1]), fontsize=8, color=colour, **offset)


def _finish(left: Axes, right: Axes, ks: Sequence[int]) -> None:
    style(left, "k", "exact nearest among the first k, in %")
    left.set_xscale("log")
    left.set_xticks(ks, [f"{k:,}" for k in ks])
    left.xaxis.set_minor_formatter(NullFormatter())
    left.set_ylim(0, 104)
    if any(line.get_markerfacecolor() == "none" for line in left.lines):
        left.plot([], [], "o", color=INK, markersize=12, markerfacecolor="none", label="the paper")
    legend = left.legend(frameon=False, fontsize=9, loc="lower right")
    for text in legend.get_texts():
        text.set_color(INK)
    style(right, "size of the index in MB", "CPU µs a query (label: recall at k = 1)")
    right.set_xscale("log")
    right.set_yscale("log")
    for axis in (right.xaxis, right.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        axis.set_minor_locator(NullLocator())
    right.margins(x=0.2, y=0.12)
