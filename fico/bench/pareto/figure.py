"""The comparison as a figure: time over recall, and size at a recall."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fico.bench.pareto.tables import MODALITIES
from fico.report.figures.files import COLOURS, INK, MARKERS, style
from fico.util.optional import requires_extra
from fico.util.units import bytes_text

with requires_extra("report"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

_TICKS = (0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 1.0)
_LAST = 0.002  # added to the fraction that is missed, so that a full recall has a position


def draw(rows: Sequence[Mapping[str, Any]], k: int) -> Figure:
    """Two panels of CPU time over recall, one per definition; hollow marks are dominated settings.

    Args:
        rows: Of the comparison, of queries of one modality.
        k: Items per query.
    """
    figure = Figure(figsize=(12.5, 5.4), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, kind, cut, words in (
        (panels[0], "top1_in_k", 1, "exact nearest item found at rank 1, in %"),
        (panels[1], "overlap_at_k", k, f"of the {k} exact nearest found, in %"),
    ):
        for number, name in enumerate(dict.fromkeys(row["index"] for row in rows)):
            of_index = sorted((row for row in rows if row["index"] == name), key=lambda row: row[kind][cut])
            _draw(axes, of_index, kind, cut, number, name)
        style(axes, words, "CPU µs per query")
        _recall_axis(axes)
    panels[1].set_ylabel("")
    handles, names = panels[0].get_legend_handles_labels()
    legend = figure.legend(handles, names, frameon=False, fontsize=9, loc="outside right center")
    for text in legend.get_texts():
        text.set_color(INK)
    modality = MODALITIES[rows[0]["query_modality"]]
    title = f"{rows[0]['items']:,} items, {rows[0]['queries']:,} queries, {modality}, k = {k}; hollow: dominated"
    figure.suptitle(title, color=INK, fontsize=11)
    return figure


def _draw(axes: Axes, rows: Sequence[Mapping[str, Any]], kind: str, cut: int, number: int, name: str) -> None:
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
    across, up = [row[kind][cut] for row in rows], [row["cpu_us"] for row in rows]
    worth = [(x, y) for x, y, row in zip(across, up, rows, strict=True) if not row["is_dominated"]]
    label = f"{name}, {bytes_text(rows[0]['index_bytes'])}"
    marks: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": "none"}
    axes.plot(across, up, markersize=5.5, markerfacecolor="white", **marks)
    axes.plot(*zip(*worth, strict=True) if worth else ([], []), markersize=6.5, label=label, **marks)
    if len(worth) > 1:
        axes.plot(*zip(*_staircase(worth), strict=True), color=colour, linewidth=1.2)


def _staircase(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those that no other one beats in recall and time, to be joined."""
    kept: list[tuple[float, float]] = []
    for recall, cost in sorted(points, key=lambda point: (-point[0], point[1])):
        if not kept or cost < kept[-1][1]:
            kept.append((recall, cost))
    return kept[::-1]


def _recall_axis(axes: Axes) -> None:
    """Stretched towards a full recall, where the differences are."""
    forward = lambda recall: -np.log10(np.maximum(1 + _LAST - recall, _LAST / 9))  # noqa: E731
    back = lambda number: 1 + _LAST - 10 ** -np.asarray(number)  # noqa: E731
    axes.set_xscale("function", functions=(forward, back))
    axes.set_xticks(_TICKS, [f"{100 * tick:g}" for tick in _TICKS])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(-0.1, 1 + _LAST / 3)  # room for the marks at both ends
    axes.set_yscale("log")
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_major_formatter(plain)
    axes.yaxis.set_minor_formatter(plain)
    axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
