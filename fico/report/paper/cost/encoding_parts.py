"""Beside Table 5: where the time of each measured size goes, its spread, its memory and its energy."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fico.report.paper.cost.encoding_times import EncodingTimes, measured_rows
from fico.report.paper.cost.growth import TimeOfSize
from fico.report.paper.cost.time_cells import machine_notes, number_cell, time_cell
from fico.report.paper.cost.timed import conditions, timed_groups
from fico.report.results.protocol import Protocol
from fico.report.results.schema import Results
from fico.report.results.seeds import SeedGroup
from fico.report.table.table import NOTHING, Cell, Column, Row, Table, distinct, text_cells
from fico.util.units import bytes_text

_PARTS = {"data loading": "loading_seconds", "collecting": "collecting_seconds", "in all": "wall_seconds"}


def encoding_parts_table(protocol: Protocol, runs: Sequence[Results], key: str) -> Table | None:
    """A row for each size of Table 5 that was measured.

    Args:
        protocol: What the runs share.
        runs: Finished runs of that protocol, untrained ones too.
        key: Name of the data set in file names.

    Returns:
        None where no run encoded growing numbers of copies.
    """
    groups = timed_groups([run for run in runs if run.efficiency.get("encoding")])
    if not groups:
        return None
    machines = list(dict.fromkeys(conditions(group.first) for group in groups))
    has_energy = any(
        row.get("energy_joules") is not None
        for group in groups for rows in measured_rows(group.runs).values() for row in rows
    )  # fmt: skip
    columns = (
        Column("model", is_text=True),
        *(Column(name) for name in ("bits", "machine", "images", "captions", "repeats", "items per second")),
        *(Column(name, "encoding") for name in ("network", *_PARTS)),
        Column("peak memory"),
        *([Column("energy, J")] if has_energy else []),
    )
    table_rows: list[Row] = []
    for group in groups:
        table_rows += _rows(group, machines.index(conditions(group.first)) + 1, has_energy=has_energy)
    notes = (
        "Of one pass, median of the repeats, over the seeds too; after the network the fastest and the slowest. In "
        "all: by the clock, with what lies between the parts. Peak memory: the highest of any repeat, of the GPU "
        "where one is used, else of the process.",
        "energy: of one pass, of the whole GPU or processor, where it can be read." if has_energy else "",
        *machine_notes(machines),
    )
    title = f"Table 5: parts of encoding at each measured size, {protocol.description}"
    return Table(f"table5-parts-{key}", title, columns, tuple(table_rows), distinct(notes))


def _rows(group: SeedGroup, machine: int, *, has_energy: bool) -> list[Row]:
    times, found = EncodingTimes.of(group.runs), []
    for images, rows in measured_rows(group.runs).items():
        names = text_cells(group.name, str(group.first.model.bits or NOTHING), str(machine))
        items = images + rows[0]["captions"]
        counts = text_cells(f"{images:,}", f"{rows[0]['captions']:,}", str(sum(row["repeats"] for row in rows)))
        seconds = times.at(images)
        cells = [
            *names,
            *counts,
            number_cell(items / seconds.seconds if seconds.seconds else None, ",.0f"),
            time_cell(seconds),
            *(_part(rows, part) for part in _PARTS.values()),
            _peak(rows),
            *([number_cell(_median(rows, "energy_joules"), ".3g")] if has_energy else []),
        ]
        found.append(Row(tuple(cells)))
    return found


def _part(rows: Sequence[Mapping[str, Any]], name: str) -> Cell:
    seconds = _median(rows, name)
    return Cell(NOTHING) if seconds is None else time_cell(TimeOfSize(seconds))


def _peak(rows: Sequence[Mapping[str, Any]]) -> Cell:
    peaks = [row["peak_memory_bytes"] for row in rows if row.get("peak_memory_bytes") is not None]
    return Cell(bytes_text(max(peaks)), numbers={"": max(peaks)}) if peaks else Cell(NOTHING)


def _median(rows: Sequence[Mapping[str, Any]], name: str) -> float | None:
    known = [row[name] for row in rows if row.get(name) is not None]
    return float(np.median(known)) if known else None
