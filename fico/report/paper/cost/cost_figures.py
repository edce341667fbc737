"""What grows and what it gives, in figures: code length, attention over the size of the gallery, hubness."""

import math
from collections.abc import Sequence

from fico.report.figures.column import TYPE, EndLabel, add_end_labels, column_panels, quiet
from fico.report.figures.files import COLOURS, INK
from fico.report.paper.cost.attention_table import attention_seconds, attention_series
from fico.report.paper.cost.timed import conditions
from fico.report.results.display import DIRECTION_NAMES
from fico.report.results.model_names import display_name
from fico.report.results.schema import Results
from fico.report.results.seeds import Score, SeedGroup, group_seeds, is_untrained
from fico.util.optional import requires_extra

with requires_extra("report"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LENGTHS_METRIC = "mAP@N"


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
    drawn = [groups for groups in attention_series(runs) if len({g.first.data.images for g in groups}) > 1]
    if not drawn:
        return None
    figure, (axes,) = column_panels(1, len(drawn), height=2.0)
    quiet(axes, "attention at query time", "seconds, all queries", "images")
    axes.set(xscale="log", yscale="log")
    for number, (groups, label) in enumerate(zip(drawn, _series_labels(drawn), strict=True)):
        points = [(group.first.data.images, attention_seconds(group)) for group in groups]
        axes.plot(*zip(*points, strict=True), color=COLOURS[number % len(COLOURS)], linewidth=1.2, marker="o",
                  markersize=3, label=label)  # fmt: skip
    images = sorted({group.first.data.images for groups in drawn for group in groups})
    axes.set_xticks(images, [f"{size:,}" for size in images])
    axes.minorticks_off()
    figure.legend(loc="outside lower right", ncols=2, frameon=False, fontsize=TYPE, labelcolor=INK)
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


def _series_labels(drawn: Sequence[Sequence[SeedGroup]]) -> list[str]:
    """The models, with size, data and machine only where some differ in them."""
    firsts = [groups[0].first for groups in drawn]
    parts = [[run.model.size or "", run.data.name, conditions(run)] for run in firsts]
    differing = [number for number in range(len(parts[0])) if len({each[number] for each in parts}) > 1]
    return [
        ", ".join(filter(None, (display_name(groups[0].name), *(own[number] for number in differing))))
        for groups, own in zip(drawn, parts, strict=True)
    ]


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
