"""Figures of one column's width: small type, few marks, labels beside the lines instead of a legend."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fico.report.figures.files import FAINT, INK
from fico.util.optional import requires_extra

with requires_extra("report"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

WIDTH = 3.3  # inches, of a column in two-column papers
TYPE = 7.0  # points
_LINE = 1.12 * TYPE / 72  # inches between two labels


@dataclass(frozen=True, slots=True)
class EndLabel:
    """A label at the right of a panel.

    Args:
        y: Where its line ends, in data.
        text: The label.
        colour: Of its line.
        order: By which labels are sorted, upwards; ``y`` if not given.
    """

    y: float
    text: str
    colour: str
    order: float | None = None


def column_panels(panels: int, labels: int = 0, height: float = 1.65) -> tuple[Figure, list[Axes]]:
    """Panels below each other, sharing the x axis.

    Args:
        panels: How many.
        labels: Labels at the right of each panel, for which it grows.
        height: Inches of a panel without.
    """
    each = max(height, (labels + 1) * _LINE + 0.35)
    figure = Figure(figsize=(WIDTH, 0.3 + panels * each), layout="constrained")
    return figure, list(figure.subplots(panels, 1, sharex=True, squeeze=False)[:, 0])


def quiet(axes: Axes, title: str, up: str, across: str = "") -> None:
    """Grid without frame, a title at the left."""
    axes.set_title(title, fontsize=TYPE + 0.5, color=INK, loc="left", pad=3)
    axes.set_ylabel(up, fontsize=TYPE, color=INK, labelpad=2)
    axes.set_xlabel(across, fontsize=TYPE, color=INK, labelpad=2)
    axes.tick_params(colors=INK, length=0, labelsize=TYPE - 0.5, which="both", pad=2)
    axes.grid(color=FAINT, linewidth=0.5)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)


def add_end_labels(figure: Figure, axes: Axes, labels: Sequence[EndLabel]) -> None:
    """Writes labels at the right of a panel whose limits are set, apart from each other and as near as can be."""
    if not labels:
        return
    low, high = axes.get_ylim()
    step = _LINE / (figure.get_figheight() / len(figure.axes) - 0.35)
    ordered = sorted(labels, key=lambda label: label.y if label.order is None else label.order)
    heights = _spread(_ascending([(label.y - low) / (high - low) for label in ordered]), step)
    line = {"arrowstyle": "-", "linewidth": 0.9, "shrinkA": 1, "shrinkB": 0, "relpos": (0, 0.5)}
    for label, height in zip(ordered, heights, strict=True):
        axes.annotate(
            label.text, (1.0, (label.y - low) / (high - low)), (1.09, height), xycoords="axes fraction",
            textcoords="axes fraction", fontsize=TYPE, color=INK, va="center", annotation_clip=False,
            arrowprops={**line, "color": label.colour},
        )  # fmt: skip


def log_ticks(axes: Axes) -> None:
    """Plain numbers at 1, 2 and 5 of each decade of the x axis; of many decades at each alone."""
    low, high = axes.get_xlim()
    decades = math.log10(high / low)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2.2 else (1.0,), numticks=20))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _ascending(heights: Sequence[float]) -> list[float]:
    """The same where they ascend; where an order asks for more, the mean of those that do not."""
    found: list[list[float]] = []
    for height in heights:
        found.append([height])
        while len(found) > 1 and _mean(found[-2]) > _mean(found[-1]):
            last = found.pop()
            found[-1] += last
    return [_mean(block) for block in found for _ in block]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _spread(wanted: Sequence[float], step: float) -> list[float]:
    """Ascending heights at least a step apart, moved as a block where they touch, none below 0 or far above 1."""
    blocks: list[list[float]] = []  # sum of wanted places of the first label, count
    for height in wanted:
        blocks.append([height, 1])
        while len(blocks) > 1 and _first(blocks[-2]) + blocks[-2][1] * step > _first(blocks[-1]):
            total, count = blocks.pop()
            blocks[-1][0] += total - count * blocks[-1][1] * step
            blocks[-1][1] += count
    found: list[float] = []
    for block in blocks:
        start = max(_first(block), found[-1] + step if found else 0.0)
        found += [start + number * step for number in range(int(block[1]))]
    over = max(0.0, found[-1] - 1.0)
    return [height - over for height in found] if found[0] >= over else found


def _first(block: Sequence[float]) -> float:
    return block[0] / block[1]
