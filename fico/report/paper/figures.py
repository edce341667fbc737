"""Figures 3 and 4 of the paper: precision-recall curves of models, and recall of indexes against search time."""

import math
from collections.abc import Sequence

from fico.report.figures.curves import LEVELS
from fico.report.figures.files import COLOURS, INK, MARKERS, style
from fico.report.paper.search_table import searched_rows
from fico.report.results.display import DIRECTION_NAMES
from fico.report.results.schema import Results, SearchRow
from fico.report.results.seeds import SeedGroup, group_seeds, is_untrained
from fico.util.optional import requires_extra

with requires_extra("report"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DASHES = {"vlp": "-", "fine": (0, (5, 1.5)), "coarse": (0, (1, 1)), None: "-"}
RECALL = [float(level) for level in LEVELS]


def precision_recall_figure(runs: Sequence[Results]) -> Figure | None:
    """Figure 3: interpolated precision at eleven recall levels, one line for each model; None without labels.

    Args:
        runs: Finished runs of one protocol; seeds are averaged, untrained models left out.
    """
    found = [
        s for s in group_seeds([run for run in runs if not is_untrained(run)]) if _curve(s, "i2t") or _curve(s, "t2i")
    ]
    if not found:
        return None
    figure = Figure(figsize=(9.2, 4.0), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (direction, title) in zip(panels, DIRECTION_NAMES.items(), strict=True):
        style(axes, "recall", "precision in %" if direction == "i2t" else "")
        axes.set_title(title, fontsize=10, color=INK)
        for number, group in enumerate(found):
            _line(axes, direction, group, number)
        if chance := _curve(found[0], f"{direction}/chance"):
            axes.plot(*zip(*chance, strict=True), color="#777777", linewidth=1, linestyle=(0, (3, 3)), label="chance")
        axes.set_ylim(0, 102)
    _legend(figure, panels[0])
    return figure


def trade_off_figure(runs: Sequence[Results]) -> Figure | None:
    """Figure 4: fraction of queries whose exact nearest item each index ranks first, over milliseconds per query.

    Args:
        runs: Finished runs of one protocol.

    Returns:
        None where fewer than two indexes were run.
    """
    found = [(group, rows) for group in group_seeds(runs) if (rows := searched_rows(group))]
    rows = [row for _, own in found for row in own if 1 in row.top1_in_k]
    if len(rows) < 2:
        return None
    figure = Figure(figsize=(9.2, 4.2), layout="constrained")
    axes = figure.subplots()
    style(axes, "milliseconds per query", "exact top 1 in 1, %")
    indexes = list(dict.fromkeys(row.index for row in rows))
    for number, (group, own) in enumerate(found):
        for row in own:
            if 1 in row.top1_in_k:
                marker = MARKERS[indexes.index(row.index) % len(MARKERS)]
                _point(axes, row, COLOURS[number % len(COLOURS)], marker, f"{group.label}, {row.index}")
    axes.set_xscale("log")
    times = [math.log10(max(1e-9, _milliseconds(row))) for row in rows]
    axes.set_xlim(10 ** math.floor(min(times)), 10 ** (math.floor(max(times)) + 1))  # whole decades: their ticks fit
    axes.set_ylim(0, 104)
    _legend(figure, axes)
    return figure


def _curve(group: SeedGroup, where: str) -> list[tuple[float, float]]:
    """Recall level and mean precision in percent, as far as they were measured."""
    scores = [group.score(f"category/{where}/PR@{level}") for level in LEVELS]
    return [(at, 100 * score.value) for at, score in zip(RECALL, scores, strict=True) if score is not None]


def _line(axes: Axes, direction: str, group: SeedGroup, number: int) -> None:
    curve = _curve(group, direction)
    if curve:
        axes.plot(
            *zip(*curve, strict=True),
            color=COLOURS[number % len(COLOURS)],
            marker=MARKERS[number % len(MARKERS)],
            linestyle=DASHES[group.first.model.family],
            markersize=4,
            linewidth=1.6,
            label=group.label,
        )


def _milliseconds(row: SearchRow) -> float:
    return 1e3 * row.search_seconds / row.queries


def _point(axes: Axes, row: SearchRow, colour: str, marker: str, label: str) -> None:
    is_hollow = row.details.get("direction") == "t2i"
    axes.plot(
        _milliseconds(row),
        100 * row.top1_in_k[1],
        linestyle="",
        marker=marker,
        color=colour,
        markerfacecolor="white" if is_hollow else colour,
        label=label,
    )


def _legend(figure: Figure, axes: Axes) -> None:
    """Each label once, though both directions have it."""
    lines, labels = axes.get_legend_handles_labels()
    once = dict(zip(reversed(labels), reversed(lines), strict=True))  # the first of a label is the filled one
    labels = list(dict.fromkeys(labels))
    lines = [once[label] for label in labels]
    figure.legend(lines, labels, loc="outside right upper", frameon=False, fontsize=8.5, labelcolor=INK)
