"""Curves of a report as SVG text that follows the page's colours, light or dark."""

import re
from collections.abc import Sequence

from fico.report.figures.page_svg import COLOURS, add_legend, as_svg, new_axes
from fico.report.results.display import DIRECTION_NAMES, metric_names
from fico.report.results.metric import Metric
from fico.report.results.schema import Results
from fico.util.optional import requires_extra

with requires_extra("report"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEVELS = tuple(f"{level / 10:.1f}" for level in range(11))


def recall_curve(results: Results) -> str | None:
    """Recall at k over k up to the size of the gallery, with interval and chance; None without instance metrics."""
    cuts = sorted(int(name[2:]) for name in metric_names(results, "instance") if re.fullmatch(r"R@\d+", name))
    drawn = _curves(results, "instance", [f"R@{k}" for k in cuts], cuts, ("k", "R@k in %"))
    if drawn is None:
        return None
    figure, axes = drawn
    within = [k for k in cuts if k <= max(results.data.images, results.data.captions)]
    axes.set_xscale("log")
    axes.set_xticks(within, [str(k) for k in within])
    axes.minorticks_off()
    return as_svg(figure, "recall")


def precision_recall_curve(results: Results) -> str | None:
    """Interpolated precision at eleven recall levels, with interval and chance; None without labels."""
    names, levels = [f"PR@{level}" for level in LEVELS], [float(level) for level in LEVELS]
    drawn = _curves(results, "category", names, levels, ("recall", "precision in %"))
    if drawn is None:
        return None
    figure, axes = drawn
    axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    return as_svg(figure, "pr")


def _curves(
    results: Results, task: str, names: Sequence[str], positions: Sequence[float], labels: tuple[str, str]
) -> tuple[Figure, Axes] | None:
    """Both directions in one panel; None where neither has any of the metrics."""
    points = {direction: _points(results, f"{task}/{direction}", names, positions) for direction in COLOURS}
    galleries = {"i2t": results.data.captions, "t2i": results.data.images}
    points = {way: [point for point in found if point[0] <= galleries[way]] for way, found in points.items()}
    if not any(points.values()):
        return None
    figure, axes = new_axes(*labels)
    axes.set_ylim(0, 102)
    for direction, found in points.items():
        _draw(axes, direction, found)
    add_legend(axes)
    return figure, axes


Point = tuple[float, Metric, Metric | None]


def _points(results: Results, where: str, names: Sequence[str], positions: Sequence[float]) -> list[Point]:
    found = []
    for name, position in zip(names, positions, strict=True):
        metric = results.metric(f"{where}/{name}")
        if metric is not None:
            found.append((position, metric, results.metric(f"{where}/chance/{name}")))
    return found


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
