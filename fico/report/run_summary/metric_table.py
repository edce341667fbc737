"""The metrics of one task of a run: percents, each with its 95 % interval and the level of chance beside it."""

from collections.abc import Sequence

from fico.report.results.display import (
    DIRECTION_NAMES,
    both_names,
    has_given_positives,
    interval_text,
    is_beyond_candidates,
    metric_text,
    shown_names,
    tie_bounds_text,
)
from fico.report.results.metric import Metric, factor
from fico.report.results.schema import Results
from fico.report.table.table import NOT_APPLICABLE, NOTHING, Cell, Column, Row, Scale, Table

TITLES = {
    "instance": "Instance level: the matching pair is relevant",
    "nnn": "Instance level with hubness corrected by nnn (bank: training split)",
    "dual_softmax": "Instance level with hubness corrected by dual_softmax (banks: training split)",
    "category": "Category level: every item that shares a label is relevant",
}


def metric_table(results: Results, task: str, names: Sequence[str] | None = None) -> Table | None:
    """One row for each metric, both directions side by side; n/a beyond the candidates of a re-ranking.

    Args:
        results: A finished run.
        task: ``instance``, ``category`` or the name of further positives.
        names: Of the metrics; those that a run prints if not given.

    Returns:
        None where the run has none of them.
    """
    names = shown_names(results, task) if names is None else names
    found = {
        name: [metric for direction in DIRECTION_NAMES if (metric := results.metric(f"{task}/{direction}/{name}"))]
        for name in names
    }
    has_ties = any(tie_bounds_text(metric) for name, metrics in found.items() for metric in metrics)
    rows = tuple(
        _row(results, task, name, has_ties)
        for name, metrics in found.items()
        if metrics or is_beyond_candidates(results, name)
    )
    columns = [Column("metric", is_text=True)]
    for direction in DIRECTION_NAMES:
        columns += _columns(direction, DIRECTION_NAMES[direction].replace(" ", "\n", 1), has_ties)
    title = TITLES.get(task, f"By the positives of {task}")
    if task == "instance" and has_given_positives(results):
        title = "Instance level: the given positives are relevant"
    return Table(task, title, tuple(columns), rows) if any(found.values()) else None


def both_table(results: Results) -> Table | None:
    """One row for each metric of both directions together; None without any."""
    names = both_names(results)
    found = [metric for name in names if (metric := results.metric(name)) is not None]
    has_ties = any(tie_bounds_text(metric) for metric in found)
    rows = []
    for name, metric in zip(names, found, strict=True):
        task, _, short = name.partition("/")
        cells = _cells(metric, results.metric(f"{task}/chance/{short}"), has_ties)
        shown = short if task == "instance" else f"{task} {short}"
        rows.append(Row((Cell(shown, hint=metric.definition), *cells)))
    columns = (Column("metric", is_text=True), *_columns("", "", has_ties))
    return Table("both", "Both directions together", columns, tuple(rows)) if rows else None


def _columns(tone: str, group: str, has_ties: bool) -> list[Column]:
    return [
        Column("value", group, emphasis="strong", tone=tone),
        Column("95 %\ninterval", group),
        *([Column("tie\nbounds", group, emphasis="faint")] if has_ties else []),
        Column("chance", group, emphasis="faint"),
    ]


def _row(results: Results, task: str, name: str, has_ties: bool) -> Row:
    """Name and cells; n/a beyond the candidates of a re-ranking, a dash where a direction has no such metric."""
    keys = [f"{task}/{direction}/{{}}{name}" for direction in DIRECTION_NAMES]
    metrics = [results.metric(key.format("")) for key in keys]
    cells = [Cell(name, hint=next((metric.definition for metric in metrics if metric), ""))]
    for key, metric in zip(keys, metrics, strict=True):
        absent = NOT_APPLICABLE if is_beyond_candidates(results, name) else NOTHING
        cells += _cells(metric, results.metric(key.format("chance/")), has_ties, absent)
    return Row(tuple(cells))


def _cells(metric: Metric | None, chance: Metric | None, has_ties: bool, absent: str = NOTHING) -> list[Cell]:
    if metric is None:
        return [Cell(absent), *[Cell("")] * (3 if has_ties else 2)]
    scale = factor(metric.unit)
    ends = {part: scale * end for part, end in zip(("low", "high"), metric.interval or (), strict=False)}
    return [
        Cell(metric_text(metric.unit, metric.value), numbers={"": scale * metric.value}),
        Cell(interval_text(metric) or NOTHING, numbers=ends, scale=_scale(metric, chance)),
        *([Cell(tie_bounds_text(metric) or NOTHING)] if has_ties else []),
        Cell(NOTHING) if chance is None else Cell(metric_text(metric.unit, chance.value)),
    ]


def _scale(metric: Metric, chance: Metric | None) -> Scale | None:
    """Percents; other units have no scale of their own, and without an interval there is nothing to draw."""
    if metric.unit != "fraction" or metric.interval is None:
        return None
    low, high = metric.interval
    return Scale(100 * metric.value, 100 * low, 100 * high, None if chance is None else 100 * chance.value)
