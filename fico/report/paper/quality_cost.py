"""Quality against what a query costs, over all models, code lengths, indexes and cascades: the paper's thesis."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fico.report.figures.column import TYPE, column_panels, log_ticks, quiet
from fico.report.figures.files import COLOURS, INK, MARKERS
from fico.report.paper.search_table import searched_rows
from fico.report.results.display import DIRECTION_NAMES
from fico.report.results.model_names import FAMILIES, display_name
from fico.report.results.schema import Results
from fico.report.results.seeds import SeedGroup, group_seeds, is_untrained
from fico.util.optional import requires_extra

with requires_extra("report"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

TASKS = (("instance", "R@10"), ("category", "mAP@100"))
FAMILY_COLOURS = {"vlp": COLOURS[0], "fine": COLOURS[1], "coarse": COLOURS[2], None: COLOURS[6]}


@dataclass(frozen=True, slots=True)
class System:
    """A model with a way to search it, or with attention at query time.

    Args:
        label: For a reader.
        family: Of the model.
        milliseconds: Of a query once all items are embedded, the mean of both directions.
        quality: Fraction, the mean of both directions.
    """

    label: str
    family: str | None
    milliseconds: float
    quality: float


def quality_cost_figure(runs: Sequence[Results]) -> tuple[Figure, str] | None:
    """Quality over the time of a query, a panel for each task, with the frontier that nothing is above and left of.

    Args:
        runs: Finished runs of one protocol.

    Returns:
        The figure, and what the numbers on it stand for; None where fewer than two systems have both.
    """
    groups = group_seeds([run for run in runs if run.metrics and not is_untrained(run)])
    found = {name: systems(groups, task, name) for task, name in TASKS}
    shown = {name: points for name, points in found.items() if len(points) > 1}
    if not shown:
        return None
    fronts = {name: frontier(points) for name, points in shown.items()}
    numbers = {label: n for n, label in enumerate(dict.fromkeys(s.label for f in fronts.values() for s in f), start=1)}
    figure, panels = column_panels(len(shown), height=1.9)
    for axes, (name, points) in zip(panels, shown.items(), strict=True):
        quiet(axes, f"{name}, mean of both directions", "%", "ms per query" if axes is panels[-1] else "")
        axes.set_xscale("log")
        _frontier(axes, points, fronts[name], numbers)
        log_ticks(axes)
    families = [family for family in FAMILY_COLOURS if any(s.family == family for p in shown.values() for s in p)]
    _family_legend(figure, families)
    return figure, "; ".join(f"{number} {label}" for label, number in numbers.items())


def systems(groups: Sequence[SeedGroup], task: str, name: str) -> list[System]:
    """Every group with attention once, every other with each of its indexes.

    Args:
        groups: Of trained models.
        task: ``instance`` or ``category``.
        name: Of a metric that the comparison of indexes measures too.
    """
    return [system for group in groups for system in _systems(group, task, name)]


def frontier(points: Sequence[System]) -> list[System]:
    """Those that no other is both as fast as and better than, the fastest first."""
    best: list[System] = []
    for system in sorted(points, key=lambda each: (each.milliseconds, -each.quality)):
        if not best or system.quality > best[-1].quality:
            best.append(system)
    return best


def _systems(group: SeedGroup, task: str, name: str) -> Iterator[System]:
    label, model = display_name(group.label), group.first.model
    if model.query_time_attention:
        scores = [score.value for way in DIRECTION_NAMES if (score := group.score(f"{task}/{way}/{name}"))]
        parts = [cost.value for key in ("screen_seconds", "attention_seconds") if (cost := group.cost(key))]
        seconds = sum(parts)
        items = group.first.data.images + group.first.data.captions
        if len(scores) == 2 and seconds > 0:
            yield System(label, model.family, 1e3 * seconds / items, sum(scores) / 2)
        return
    rows = searched_rows(group)
    for index in dict.fromkeys(row.index for row in rows):
        own = [row for row in rows if row.index == index and name in row.details.get("task", {})]
        if len(own) == 2:
            milliseconds = sum(1e3 * row.search_seconds / row.queries for row in own) / 2
            quality = sum(float(row.details["task"][name]) for row in own) / 2
            yield System(f"{label}, {index}", model.family, milliseconds, quality)


def _frontier(axes: Axes, points: Sequence[System], front: Sequence[System], numbers: dict[str, int]) -> None:
    for system in points:
        look: dict[str, Any] = {
            "marker": _marker(system.family),
            "color": FAMILY_COLOURS[system.family],
            "markersize": 3.6,
        }
        axes.plot(system.milliseconds, 100 * system.quality, linestyle="", markeredgewidth=0, alpha=0.75, **look)
    steps = [(system.milliseconds, 100 * system.quality) for system in front]
    axes.step(*zip(*steps, strict=True), where="post", color=INK, linewidth=0.8)
    for system in front:
        axes.annotate(str(numbers[system.label]), (system.milliseconds, 100 * system.quality), (0, 3.5), fontsize=TYPE,
                      textcoords="offset points", ha="center", color=INK, weight="bold")  # fmt: skip
    axes.set_ylim(0, min(106.0, 1.15 * max(up for _, up in steps)))


def _marker(family: str | None) -> str:
    return MARKERS[list(FAMILY_COLOURS).index(family)]


def _family_legend(figure: Figure, families: Sequence[str | None]) -> None:
    looks: list[dict[str, Any]] = [
        {"marker": _marker(each), "color": FAMILY_COLOURS[each], "label": FAMILIES[each]} for each in families
    ]
    marks = [Line2D([], [], linestyle="", markersize=3.6, **look) for look in looks]
    figure.legend(handles=marks, loc="outside lower left", ncols=2, frameon=False, fontsize=TYPE - 0.5,
                  labelcolor=INK, handletextpad=0.1, columnspacing=0.8)  # fmt: skip
