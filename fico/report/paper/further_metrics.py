"""Metrics of some runs that no table of the paper has: those that a config added, and those of both directions."""

from collections.abc import Sequence

from fico.metrics.specification import TASKS
from fico.report.paper.metric_tables import LEADING, READING, TABLES
from fico.report.results.display import DIRECTION_NAMES, both_names, metric_text, shown_names
from fico.report.results.protocol import Protocol
from fico.report.results.schema import Results
from fico.report.results.score_cell import score_cell
from fico.report.results.seeds import SeedGroup, group_seeds, is_untrained
from fico.report.table.table import NOTHING, Cell, Column, Row, Table, text_cells

_PAPER = {name for table in TABLES for name in table.names}


def further_table(protocol: Protocol, runs: Sequence[Results], key: str) -> Table | None:
    """The metrics that the runs print and the paper's tables do not have; None where there are none.

    Args:
        protocol: What the runs share.
        runs: Finished runs of that protocol.
        key: Name of the data set in file names.
    """
    groups = group_seeds([run for run in runs if run.metrics and not is_untrained(run)])
    names = _names(groups)
    if not names:
        return None
    rows = []
    for group in groups:
        bits, size = str(group.first.model.bits or NOTHING), group.first.model.size or NOTHING
        facts = text_cells(group.name, bits, size, ", ".join(map(str, group.seeds)))
        rows.append(Row((*facts, *(score_cell(group.score(name), len(group.runs)) for name in names))))
    rows.append(Row((*text_cells("chance", "", "", ""), *(_chance(groups, name) for name in names)), "chance"))
    columns = (*LEADING, *(Column(name.rpartition("/")[2], _heading(name)) for name in names))
    notes = (READING, *(f"{_heading(name)}: {name.rpartition('/')[2]}: {_meaning(groups, name)}." for name in names))
    return Table(f"further-{key}", f"Further metrics, {protocol.description}", columns, tuple(rows), notes)


def _names(groups: Sequence[SeedGroup]) -> list[str]:
    """Keys without the split, by task, direction and in the order of the runs."""
    runs = [run for group in groups for run in group.runs]
    names = dict.fromkeys(
        f"{task}/{direction}/{name}"
        for task in TASKS
        for direction in DIRECTION_NAMES
        for run in runs
        for name in shown_names(run, task)
        if name not in _PAPER and run.metric(f"{task}/{direction}/{name}")
    )
    return list(names | dict.fromkeys(name for run in runs for name in both_names(run)))


def _heading(name: str) -> str:
    task, *direction, _ = name.split("/")
    return f"{task}, {DIRECTION_NAMES[direction[0]] if direction else 'both directions'}"


def _chance(groups: Sequence[SeedGroup], name: str) -> Cell:
    where, _, metric = name.rpartition("/")
    level = next((score for group in groups if (score := group.score(f"{where}/chance/{metric}"))), None)
    return Cell(NOTHING) if level is None else Cell(metric_text(level.unit, level.value))


def _meaning(groups: Sequence[SeedGroup], name: str) -> str:
    metric = next(metric for group in groups for run in group.runs if (metric := run.metric(name)))
    return metric.definition.rpartition("; ")[0] or metric.definition
