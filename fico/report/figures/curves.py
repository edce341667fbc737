"""Curves of a report as SVG text that follows the page's colours, light or dark."""

import io
import re
from collections.abc import Sequence
from typing import Any

from fico.report.results.display import DIRECTION_NAMES, metric_names
from fico.report.results.metric import Metric
from fico.report.results.schema import Results
from fico.util.optional import requires_extra

with requires_extra("report"):
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Written as colours that nothing else uses, then replaced by the page's variables: SVG by matplotlib has no other hook.
INK, FAINT, COLOURS = "#010203", "#010204", {"i2t": "#010205", "t2i": "#010206"}
VARIABLES = {INK: "var(--ink)", FAINT: "var(--faint)", COLOURS["i2t"]: "var(--i2t)", COLOURS["t2i"]: "var(--t2i)"}
LEVELS = tuple(f"{level / 10:.1f}" for level in range(11))


def recall_curve(results: Results) -> str | None:
    """Recall at k over k, with interval and chance; None without instance metrics."""
    cuts = sorted(int(name[2:]) for name in metric_names(results, "instance") if re.fullmatch(r"R@\d+", name))
    drawn = _curves(results, "instance", [f"R@{k}" for k in cuts], cuts, ("k", "R@k in %"))
    if drawn is None:
        return None
    figure, axes = drawn
    axes.set_xscale("log")
    axes.set_xticks(cuts, [str(k) for k in cuts])
    axes.minorticks_off()
    return _svg(figure, "recall")


def precision_recall_curve(results: Results) -> str | None:
    """Interpolated precision at eleven recall levels, with interval and chance; None without labels."""
    names, levels = [f"PR@{level}" for level in LEVELS], [float(level) for level in LEVELS]
    drawn = _curves(results, "category", names, levels, ("recall", "precision in %"))
    if drawn is None:
        return None
    figure, axes = drawn
    axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    return _svg(figure, "pr")


def _curves(
    results: Results, task: str, names: Sequence[str], positions: Sequence[float], labels: tuple[str, str]
) -> tuple[Figure, Axes] | None:
    """Both directions in one panel; None where neither has any of the metrics."""
    points = {direction: _points(results, f"{task}/{direction}", names, positions) for direction in COLOURS}
    if not any(points.values()):
        return None
    figure, axes = _axes(*labels)
    for direction, found in points.items():
        _draw(axes, direction, found)
    _legend(axes)
    return figure, axes


Point = tuple[float, Metric, Metric | None]


def _points(results: Results, where: str, names: Sequence[str], positions: Sequence[float]) -> list[Point]:
    found = []
    for name, position in zip(names, positions, strict=True):
        metric = results.metric(f"{where}/{name}")
        if metric is not None:
            found.append((position, metric, results.metric(f"{where}/chance/{name}")))
    return found


def _axes(across: str, up: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5.2, 3.4), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(across, color=INK)
    axes.set_ylabel(up, color=INK)
    axes.set_ylim(0, 102)
    axes.tick_params(colors=INK, length=0, labelsize=9)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)
    return figure, axes


def _draw(axes: Axes, direction: str, points: list[Point]) -> None:
    if not points:
        return
    positions = [position for position, _, _ in points]
    colour, name = COLOURS[direction], DIRECTION_NAMES[direction]
    ends = [(position, *metric.interval) for position, metric, _ in points if metric.interval is not None]
    if ends:
        across, low, high = zip(*((position, 100 * low, 100 * high) for position, low, high in ends), strict=True)
        axes.fill_between(across, low, high, color=colour, alpha=0.18, linewidth=0)
    values = [100 * metric.value for _, metric, _ in points]
    axes.plot(positions, values, color=colour, marker="o", markersize=4, linewidth=1.8, label=name)
    chance = [(position, 100 * level.value) for position, _, level in points if level is not None]
    if chance:
        across, up = zip(*chance, strict=True)
        axes.plot(across, up, color=colour, linewidth=1, linestyle=(0, (3, 3)), label=f"{name}, chance")


def _legend(axes: Axes) -> None:
    legend = axes.legend(frameon=False, fontsize=8.5, loc="best")
    for text in legend.get_texts():
        text.set_color(INK)


def _svg(figure: Figure, prefix: str) -> str:
    text = io.StringIO()
    nothing: dict[str, Any] = {"Date": None, "Creator": None, "Format": None, "Type": None}
    # text stays text, and ids come from the content alone: equal runs give equal pages
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": prefix}):
        figure.savefig(text, format="svg", transparent=True, metadata=nothing)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, variable)
    # two figures in one page must not share ids, or the second would borrow the first one's marks
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    return re.sub(r'(href="|url\()#', rf"\1#{prefix}-", svg)
