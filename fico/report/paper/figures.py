"""Figures 3 and 4 of the paper: precision-recall curves of models, and the task's quality over search time."""

from collections.abc import Sequence

from fico.report.figures.column import EndLabel, add_end_labels, column_panels, log_ticks, quiet
from fico.report.figures.curves import LEVELS
from fico.report.figures.files import COLOURS, INK, MARKERS
from fico.report.paper.search_table import searched_rows
from fico.report.results.display import DIRECTION_NAMES
from fico.report.results.model_names import display_name
from fico.report.results.schema import Results, SearchRow
from fico.report.results.seeds import SeedGroup, group_seeds, is_untrained
from fico.util.optional import requires_extra

with requires_extra("report"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

DASHES = {"vlp": "-", "fine": (0, (5, 1.5)), "coarse": (0, (1, 1)), None: "-"}
RECALL = [float(level) for level in LEVELS]
TASK = "R@10"
MOST = 12  # settings of a figure; of more the longest code of each model alone, as the figure of code lengths has all


def precision_recall_figure(runs: Sequence[Results]) -> Figure | None:
    """Figure 3: interpolated precision at eleven recall levels, a panel for each direction; None without labels.

    Args:
        runs: Finished runs of one protocol; seeds are averaged, untrained models left out.
    """
    groups = _shown(group_seeds([run for run in runs if not is_untrained(run)]))
    found = [group for group in groups if _curve(group, "i2t") or _curve(group, "t2i")]
    if not found:
        return None
    figure, panels = column_panels(2, len(found) + 1)
    for axes, (direction, title) in zip(panels, DIRECTION_NAMES.items(), strict=True):
        quiet(axes, title, "precision in %", "recall" if direction == "t2i" else "")
        axes.set(xlim=(0, 1), ylim=(0, 102))
        labels = [label for n, group in enumerate(found) if (label := _line(axes, direction, group, n)) is not None]
        if chance := _curve(found[0], f"{direction}/chance"):
            axes.plot(*zip(*chance, strict=True), color="#777777", linewidth=0.9, linestyle=(0, (3, 3)), label="chance")
            labels.append(EndLabel(chance[-1][1], "chance", "#777777", -1.0))
        add_end_labels(figure, axes, labels)
    return figure


def trade_off_figure(runs: Sequence[Results]) -> Figure | None:
    """Figure 4: recall of the task through each index over milliseconds per query, a panel for each direction.

    Where no task was measured, as of vectors without one, the fraction of exact nearest items that come first.

    Args:
        runs: Finished runs of one protocol.

    Returns:
        None where fewer than two indexes were run.
    """
    searched = [(group, rows) for group in _shown(group_seeds(runs)) if (rows := searched_rows(group))]
    has_task = any(_task(row) is not None for _, rows in searched for row in rows)
    found = [(group, [row for row in rows if _quality(row, has_task) is not None]) for group, rows in searched]
    found = [(group, rows) for group, rows in found if rows]
    every = [row for _, rows in found for row in rows]
    if len(every) < 2:
        return None
    directions = list(dict.fromkeys(str(row.details.get("direction", "")) for row in every))
    indexes = list(dict.fromkeys(row.index for row in every))
    figure, panels = column_panels(len(directions), len(found))
    for axes, direction in zip(panels, directions, strict=True):
        up = f"{TASK} in %" if has_task else "exact top 1 in 1, %"
        quiet(axes, DIRECTION_NAMES.get(direction, ""), up, "ms per query" if direction == directions[-1] else "")
        axes.set_xscale("log")
        top = max(100 * (_quality(row, has_task) or 0) for row in every)
        axes.set_ylim(0, min(104.0, 1.12 * max(top, 1)))
        labels = []
        for number, (group, rows) in enumerate(found):
            own = [row for row in rows if str(row.details.get("direction", "")) == direction]
            if own:
                labels.append(_points(axes, own, group, COLOURS[number % len(COLOURS)], indexes, has_task))
        add_end_labels(figure, axes, labels)
        log_ticks(axes)
    _index_legend(figure, indexes)
    return figure


def _shown(groups: Sequence[SeedGroup]) -> Sequence[SeedGroup]:
    if len(groups) <= MOST:
        return groups
    lengths = [(group.name, group.first.model.bits or 0) for group in groups]
    longest = {name: bits for name, bits in sorted(lengths)}
    return [group for group, (name, bits) in zip(groups, lengths, strict=True) if bits == longest[name]]


def _curve(group: SeedGroup, where: str) -> list[tuple[float, float]]:
    """Recall level and mean precision in percent, as far as they were measured."""
    scores = [group.score(f"category/{where}/PR@{level}") for level in LEVELS]
    return [(at, 100 * score.value) for at, score in zip(RECALL, scores, strict=True) if score is not None]


def _line(axes: Axes, direction: str, group: SeedGroup, number: int) -> EndLabel | None:
    curve = _curve(group, direction)
    if not curve:
        return None
    colour = COLOURS[number % len(COLOURS)]
    style = DASHES[group.first.model.family]
    axes.plot(*zip(*curve, strict=True), color=colour, linestyle=style, linewidth=1.3, label=group.label)
    order = sum(precision for _, precision in curve) / len(curve)
    return EndLabel(curve[-1][1], display_name(group.label), colour, order)


def _task(row: SearchRow) -> float | None:
    found = row.details.get("task", {}).get(TASK)
    return None if found is None else float(found)


def _quality(row: SearchRow, has_task: bool) -> float | None:
    return _task(row) if has_task else row.top1_in_k.get(1)


def _points(
    axes: Axes, rows: Sequence[SearchRow], group: SeedGroup, colour: str, indexes: Sequence[str], has_task: bool
) -> EndLabel:
    """A model's indexes, joined by a line in the order of their times, labelled at the height of the best."""
    ordered = sorted(rows, key=lambda row: row.search_seconds / row.queries)
    times = [1e3 * row.search_seconds / row.queries for row in ordered]
    values = [100 * (_quality(row, has_task) or 0.0) for row in ordered]
    axes.plot(times, values, color=colour, linewidth=0.7, alpha=0.5)
    for row, time, value in zip(ordered, times, values, strict=True):
        marker = MARKERS[indexes.index(row.index) % len(MARKERS)]
        axes.plot(time, value, linestyle="", marker=marker, markersize=4.2, color=colour, markeredgewidth=0)
    return EndLabel(max(values), display_name(group.label), colour)


def _index_legend(figure: Figure, indexes: Sequence[str]) -> None:
    """What the marks stand for, below the panels."""
    marks = [
        Line2D([], [], linestyle="", marker=MARKERS[n % len(MARKERS)], markersize=4.2, color=INK, label=index)
        for n, index in enumerate(indexes)
    ]
    figure.legend(handles=marks, loc="outside lower left", ncols=3, frameon=False, fontsize=6.5, labelcolor=INK,
                  handletextpad=0.1, columnspacing=0.8)  # fmt: skip
