"""R@10 of a cascade over the pairs that it scores and over the time of a query."""

from collections.abc import Callable
from typing import Any

from fico.bench.cascade.cascade import Cost, Outcome, System
from fico.metrics.specification import DIRECTIONS, Direction
from fico.report.figures.files import COLOURS, INK, MARKERS, style
from fico.report.results.display import DIRECTION_NAMES
from fico.util.optional import requires_extra

with requires_extra("report"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

QUALITY = "R@10"


def draw(outcome: Outcome, split: str) -> Figure:
    """Two panels; filled marks are cascades, hollow ones the models alone, the dashed line 95 % of the ranker.

    Args:
        outcome: What was measured.
        split: Name in front of the metrics.
    """
    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    across: list[tuple[str, Callable[[Cost], float]]] = [
        ("pairs scored for a query, in % of the gallery", lambda cost: 100 * cost.pairs_fraction),
        ("CPU time of a query, in ms", lambda cost: 1000 * cost.query_seconds),
    ]
    for axes, (words, position) in zip(panels, across, strict=True):
        for number, direction in enumerate(DIRECTIONS):
            _draw(axes, outcome, direction, split, number, position)
        style(axes, words, f"{QUALITY} in %")
        axes.set_xscale("log")
    panels[1].set_ylabel("")
    legend = panels[1].legend(frameon=False, fontsize=9)
    for text in legend.get_texts():
        text.set_color(INK)
    cascade = outcome.cascades[0].name
    figure.suptitle(f"{cascade}; hollow: one model alone; dashed: 95 % of the ranker", color=INK, fontsize=11)
    return figure


def _draw(
    axes: Axes, outcome: Outcome, direction: Direction, split: str, number: int, position: Callable[[Cost], float]
) -> None:
    marks: dict[str, Any] = {"color": COLOURS[number], "marker": MARKERS[number], "markersize": 6}

    def point(system: System) -> tuple[float, float] | None:
        metric = system.metrics.get(f"{split}/instance/{direction}/{QUALITY}")
        return None if metric is None else (position(system.costs[direction]), 100 * metric.value)

    found = sorted((at, str(system.depth)) for system in outcome.cascades if (at := point(system)))
    points = zip(*(at for at, _ in found), strict=True) if found else ([], [])
    axes.plot(*points, label=DIRECTION_NAMES[direction], **marks)
    for system, at in ((system, point(system)) for system in outcome.systems if system.depth is None):
        if at is not None and at[0] > 0:  # the screen alone scores no pairs
            axes.plot(*at, markerfacecolor="white", linestyle="none", **marks)
        if at is not None and system is outcome.systems[-1]:
            axes.axhline(0.95 * at[1], color=marks["color"], linewidth=0.9, linestyle=(0, (4, 4)), zorder=0)
    for at, depth in found:
        axes.annotate(depth, at, (0, 7), textcoords="offset points", ha="center", fontsize=8, color=INK)
    axes.margins(0.08, 0.12)
