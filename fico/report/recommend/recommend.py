"""The system to take under limits, and the table that the answer rests on."""

from collections.abc import Sequence
from dataclasses import dataclass

from fico.errors import UsageError
from fico.metrics.specification import Task
from fico.report.recommend.systems import DEFAULT_METRICS, System, measured_systems
from fico.report.results.protocol import Protocol
from fico.report.results.runs import machine
from fico.report.results.schema import Results
from fico.report.table.table import Cell, Column, Kind, Row, Table, text_cells
from fico.util.units import bytes_text, percent_text, seconds_text


@dataclass(frozen=True, slots=True)
class Limits:
    """What a system may take; None: any.

    Args:
        memory_bytes: For both sides.
        query_seconds: Of one query.
    """

    memory_bytes: float | None = None
    query_seconds: float | None = None

    def excess(self, system: System) -> float:
        """How many times the tighter limit a system takes; at most 1 if it fits."""
        pairs = ((system.memory_bytes, self.memory_bytes), (system.query_seconds, self.query_seconds))
        return max((cost / limit for cost, limit in pairs if limit is not None), default=0.0)

    def __str__(self) -> str:
        """The limits that are set."""
        given = [bytes_text(self.memory_bytes)] if self.memory_bytes is not None else []
        given += [f"{seconds_text(self.query_seconds)} a query"] if self.query_seconds is not None else []
        return " and ".join(given) or "no limit"


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to take, or that nothing fits and what comes nearest; and the table behind it."""

    answer: str
    table: Table
    fits: bool


def one_protocol(runs: Sequence[Results], data: str | None) -> tuple[Protocol, list[Results]]:
    """The runs on one data set, whose numbers may be compared.

    Args:
        runs: Finished runs.
        data: Name of the data set; None where there is one alone.

    Raises:
        UsageError: There is none of that name, or several sets of data or definitions; they are named.
    """
    groups: dict[Protocol, list[Results]] = {}
    for run in runs:
        if run.metrics and data in (None, run.data.name):
            groups.setdefault(Protocol.of(run), []).append(run)
    if len(groups) == 1:
        return next(iter(groups.items()))
    counts = {protocol: f"{len(found)} run{'s' if len(found) != 1 else ''}" for protocol, found in groups.items()}
    listed = "; ".join(f"{protocol.description} ({count})" for protocol, count in counts.items())
    if not groups:
        names = ", ".join(sorted({run.data.name for run in runs if run.metrics})) or "none"
        raise UsageError(f"no run is on data {data!r}; the runs are on {names}")
    advice = "give --data NAME, or the folders of one of them" if data is None else "give the folders of one of them"
    raise UsageError(f"the runs are on several data or definitions: {listed}; {advice}")


def recommend(
    runs: Sequence[Results], task: Task, limits: Limits, *, metric: str | None = None, data: str | None = None
) -> Recommendation:
    """The best measured system within the limits.

    Args:
        runs: Finished runs.
        task: Task whose metric decides.
        limits: Memory and time.
        metric: What it is judged by; None: ``R@10`` or ``mAP@100``.
        data: Which data set, where the runs are on several.

    Raises:
        UsageError: The runs are on several data, or none measured the metric together with times and sizes.
    """
    protocol, found = one_protocol(runs, data)
    name = metric or DEFAULT_METRICS[task]
    systems = measured_systems(found, task, name)
    if not systems:
        raise UsageError(
            f"none of the {len(found)} runs on {protocol.data} has {task} {name} of both directions with times and "
            "sizes; run models with an index (index=[flat,hnsw]), or choose another --task or --metric"
        )
    fitting = [system for system in systems if limits.excess(system) <= 1]
    chosen = fitting[0] if fitting else min(systems, key=limits.excess)
    table = _table(protocol, task, name, systems, chosen, limits, found)
    return Recommendation(_answer(chosen, limits, name, fits=bool(fitting)), table, bool(fitting))


def _answer(chosen: System, limits: Limits, metric: str, *, fits: bool) -> str:
    how = "scores pairs itself" if chosen.index == "pairs" else f"with the index {chosen.index}"
    what = (
        f"{chosen.model} ({how}): {metric} {percent_text(chosen.quality)} %, {bytes_text(chosen.memory_bytes)}, "
        f"{seconds_text(chosen.query_seconds)} a query"
    )
    if fits:
        return f"Take {what}."
    return f"Nothing fits into {limits}. Nearest, at {_times(limits.excess(chosen))} times the tighter limit: {what}."


def _table(
    protocol: Protocol,
    task: Task,
    metric: str,
    systems: Sequence[System],
    chosen: System,
    limits: Limits,
    runs: Sequence[Results],
) -> Table:
    columns = (
        Column("model", is_text=True),
        Column("index", is_text=True),
        Column(metric),
        Column("memory"),
        Column("query"),
        Column("fits", is_text=True),
    )
    rows = [_row(system, chosen, limits, systems) for system in systems]
    machines = sorted({machine(run) for run in runs})
    notes = [
        f"{metric}: mean of both directions, in percent. Memory: what is held for both sides, of {protocol.images:,} "
        f"images and {protocol.captions:,} captions. Query: encoding and search of one query of the slower direction, "
        "in a batch of all.",
    ]
    if len(machines) > 1:
        notes.append(f"Times come from different machines: {'; '.join(machines)}.")
    title = f"{task} level, {protocol.description}; limits: {limits}"
    beaten = "each is beaten by another in quality, memory and time"
    return Table("recommend", title, columns, tuple(rows), tuple(notes), frozenset({"dominated"}), beaten)


def _times(excess: float) -> str:
    return f"{excess:,.0f}" if excess >= 100 else f"{excess:.3g}"


def _row(system: System, chosen: System, limits: Limits, systems: Sequence[System]) -> Row:
    is_chosen = system == chosen
    numbers = (
        Cell(percent_text(system.quality), numbers={"": 100 * system.quality}, is_best=is_chosen),
        Cell(bytes_text(system.memory_bytes), numbers={"": system.memory_bytes}, is_best=is_chosen),
        Cell(seconds_text(system.query_seconds), numbers={"": system.query_seconds}, is_best=is_chosen),
    )
    fits = "yes" if limits.excess(system) <= 1 else f"no, {_times(limits.excess(system))} x"
    kind: Kind = "dominated" if not is_chosen and system.is_dominated(systems) else "run"
    return Row((*text_cells(system.model, system.index), *numbers, Cell(fits)), kind)
