"""What quality costs, in figures: the frontier over all models and indexes, code length, attention over size."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fico.report.figures.column import TYPE, EndLabel, add_end_labels, column_panels, log_ticks, quiet
from fico.report.figures.files import COLOURS, INK, MARKERS
from fico.report.paper.architecture_table import FAMILIES
from fico.report.paper.search_table import searched_rows
from fico.report.results.display import DIRECTION_NAMES
from fico.report.results.model_names import display_name
from fico.report.results.schema import Results
from fico.report.results.seeds import Score, SeedGroup, group_seeds, is_untrained
from fico.util.optional import requires_extra

with requires_extra("report"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

TASKS = (("instance", "R@10"), ("category", "mAP@100"))
FAMILY_COLOURS = {"vlp": COLOURS[0], "fine": COLOURS[1], "coarse": COLOURS[2], None: COLOURS[6]}
LENGTHS_METRIC = "mAP@N"


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


def code_length_figure(runs: Sequence[Results]) -> Figure | None:
    """mAP@N over the bits of a code, with 95 % intervals or the spread of seeds; None without two lengths of a model.

    Args:
        runs: Finished runs of one protocol.
    """
    groups = [g for g in group_seeds([run for run in runs if not is_untrained(run)]) if g.first.model.bits]
    models: dict[str, list[SeedGroup]] = {}
    for group in groups:
        if any(group.score(f"category/{way}/{LENGTHS_METRIC}") for way in DIRECTION_NAMES):
            models.setdefault(group.name, []).append(group)
    models = {name: found for name, found in models.items() if len({g.first.model.bits for g in found}) > 1}
    if not models:
        return None
    figure, panels = column_panels(2, len(models))
    for axes, (way, title) in zip(panels, DIRECTION_NAMES.items(), strict=True):
        quiet(axes, title, f"{LENGTHS_METRIC} in %", "bits" if way == "t2i" else "")
        axes.set_xscale("log", base=2)
        labels = [label for n, name in enumerate(models) if (label := _lengths(axes, models[name], way, n)) is not None]
        lengths = sorted({group.first.model.bits or 0 for found in models.values() for group in found})
        axes.set_xticks(lengths, [str(bits) for bits in lengths])
        axes.minorticks_off()
        axes.set_ylim(*axes.get_ylim())
        add_end_labels(figure, axes, labels)
    return figure


def attention_figure(runs: Sequence[Results]) -> Figure | None:
    """Seconds of attention at query time over the images of the gallery; None where no model ran on two sizes.

    Args:
        runs: Finished runs on any data.
    """
    models: dict[str, dict[int, list[float]]] = {}
    for run in runs:
        seconds = run.efficiency.get("attention_seconds")
        if run.model.query_time_attention and seconds:
            models.setdefault(run.model.name, {}).setdefault(run.data.images, []).append(seconds)
    models = {name: sizes for name, sizes in models.items() if len(sizes) > 1}
    if not models:
        return None
    figure, (axes,) = column_panels(1, len(models), height=2.0)
    quiet(axes, "attention at query time", "seconds, all queries", "images")
    axes.set(xscale="log", yscale="log")
    for number, (name, sizes) in enumerate(models.items()):
        points = sorted((size, sum(found) / len(found)) for size, found in sizes.items())
        axes.plot(*zip(*points, strict=True), color=COLOURS[number % len(COLOURS)], linewidth=1.2, marker="o",
                  markersize=3, label=display_name(name))  # fmt: skip
    axes.legend(frameon=False, fontsize=TYPE, labelcolor=INK)
    return figure


def hubness_figure(runs: Sequence[Results]) -> Figure | None:
    """Skew of N_10 of each model in both directions; None where fewer than two models measured it.

    Args:
        runs: Finished runs of one protocol.
    """
    groups = [g for g in group_seeds([run for run in runs if not is_untrained(run)]) if g.first.hubness]
    if len(groups) < 2:
        return None
    figure, (axes,) = column_panels(1, len(groups), height=1.2)
    quiet(axes, "hubness: skew of N_10, 0 without hubs", "", "skew")
    for way, colour, marker in (("i2t", COLOURS[0], "o"), ("t2i", COLOURS[1], "s")):
        values = [(_skew(group, way), row) for row, group in enumerate(groups)]
        known = [(skew, row) for skew, row in values if skew is not None]
        if known:
            axes.plot(*zip(*known, strict=True), linestyle="", marker=marker, markersize=4.5, color=colour,
                      label=DIRECTION_NAMES[way])  # fmt: skip
    axes.axvline(0, color="#777777", linewidth=0.8)
    axes.set_yticks(range(len(groups)), [display_name(group.label) for group in groups])
    axes.set_ylim(len(groups) - 0.5, -0.5)
    figure.legend(loc="outside lower right", ncols=2, frameon=False, fontsize=TYPE, labelcolor=INK)
    return figure


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


def _lengths(axes: Axes, groups: Sequence[SeedGroup], way: str, number: int) -> EndLabel | None:
    scored = [(group.first.model.bits or 0, group.score(f"category/{way}/{LENGTHS_METRIC}")) for group in groups]
    points = sorted((bits, score.value, *_distances(score)) for bits, score in scored if score is not None)
    if not points:
        return None
    colour = COLOURS[number % len(COLOURS)]
    bits, *percents = zip(*points, strict=True)
    values, below, above = ([100 * each for each in part] for part in percents)
    shift = 2 ** (0.06 * number)  # intervals of two models side by side
    axes.errorbar([shift * each for each in bits], values, [below, above], color=colour, linewidth=1.2, marker="o",
                  markersize=3, capsize=2, elinewidth=0.8)  # fmt: skip
    return EndLabel(values[-1], display_name(groups[0].name), colour)


def _distances(score: Score) -> tuple[float, float]:
    """To the lower and the upper end of the interval, or the spread over seeds."""
    if score.low is None or score.high is None:
        return score.spread or 0.0, score.spread or 0.0
    return max(0.0, score.value - score.low), max(0.0, score.high - score.value)


def _skew(group: SeedGroup, way: str) -> float | None:
    found = [run.hubness[way]["skew_at_10"] for run in group.runs if way in run.hubness]
    return None if not found else math.fsum(found) / len(found)
