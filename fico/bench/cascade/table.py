"""The table of a cascade: quality, cost and bytes at each depth, both directions side by side."""

from collections.abc import Iterable
from dataclasses import replace

from fico.bench.cascade.cascade import Cost, Outcome, System
from fico.metrics.specification import DIRECTIONS, Direction
from fico.report.results.display import DIRECTION_NAMES, interval_text
from fico.report.table.table import NOTHING, Cell, Column, Row, Table
from fico.util.units import bytes_text, percent_text, seconds_text

SHOWN = {"R@1": "instance", "R@10": "instance", "mAP@10": "category"}
NOTE = (
    "k: candidates of each query. Found: queries with their match among these, in %. Kept: the part of the ranker's "
    "R@10. Pairs: scored by the ranker for a query, in % of the gallery. CPU time of a query in a batch: encoding as "
    "the runs timed it, search of the candidates, scores of the pairs; of the ranker alone it is measured on a sample "
    "of all pairs. Held: bytes of an item in the index and for the ranker."
)


def cascade_tables(outcome: Outcome, split: str) -> list[Table]:
    """One table for each direction, the last one with the definitions of both.

    Args:
        outcome: What was measured.
        split: Name in front of the metrics.
    """
    tables = [_table(outcome.systems, direction, split) for direction in DIRECTIONS]
    return [*tables[:-1], replace(tables[-1], notes=(NOTE,))]


def _table(systems: Iterable[System], direction: Direction, split: str) -> Table:
    shown = {name: task for name, task in SHOWN.items() if any(_key(s, split, task, direction, name) for s in systems)}
    columns = (
        Column("system", is_text=True),
        Column("k", is_text=True),  # so that each part on a narrow terminal has it
        *(Column(name, emphasis="strong") for name in shown),
        Column("found"),
        Column("kept\nR@10"),
        Column("pairs\n%"),
        *(Column(step, "CPU time of a query", is_detail=step != "all") for step in ("encode", "screen", "rank", "all")),
        Column("held", "bytes"),
        Column("touched by a query", "bytes", is_detail=True),
    )
    rows = tuple(_row(system, direction, split, shown) for system in systems)
    title = f"Cascade, {DIRECTION_NAMES[direction]}"
    return Table(f"cascade-{direction}", title, columns, rows)


def _key(system: System, split: str, task: str, direction: Direction, name: str) -> bool:
    return f"{split}/{task}/{direction}/{name}" in system.metrics


def _row(system: System, direction: Direction, split: str, shown: dict[str, str]) -> Row:
    cost = system.costs[direction]
    kept = system.kept.get(direction, {}).get("R@10")
    return Row((
        Cell(system.name),
        Cell(NOTHING if system.depth is None else str(system.depth)),
        *(_metric(system, f"{split}/{task}/{direction}/{name}") for name, task in shown.items()),
        _number(system.found.get(direction)),
        _number(kept),
        _number(cost.pairs_fraction),
        *_times(cost),
        Cell(bytes_text(cost.held_bytes), numbers={"": cost.held_bytes}),
        Cell(NOTHING)
        if cost.touched_bytes is None
        else Cell(bytes_text(cost.touched_bytes), numbers={"": cost.touched_bytes}),
    ))  # fmt: skip


def _metric(system: System, key: str) -> Cell:
    metric = system.metrics.get(key)
    if metric is None:
        return Cell("n/a")
    ends = dict(zip(("low", "high"), metric.interval or (), strict=False))
    return Cell(percent_text(metric.value), interval_text(metric), {"": metric.value, **ends})


def _number(fraction: float | None) -> Cell:
    return Cell(NOTHING) if fraction is None else Cell(percent_text(fraction), numbers={"": fraction})


def _times(cost: Cost) -> list[Cell]:
    steps = (cost.encode_seconds, cost.screen_seconds, cost.rank_seconds, cost.query_seconds)
    return [Cell(seconds_text(seconds), numbers={"": seconds}) for seconds in steps]
