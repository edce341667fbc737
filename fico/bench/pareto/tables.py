"""The tables of the comparison: every search parameter, and speed-ups at equal recall."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fico.bench.pareto.frontier import cost_at_recall, dominated
from fico.report.table.table import NOTHING, Column, Row, Table, text_cells
from fico.util.units import bytes_text, percent_text

Rows = Sequence[Mapping[str, Any]]
KINDS = {"top1_in_k": "exact nearest item among the first {k}", "overlap_at_k": "overlap with the exact {k} nearest"}
MODALITIES = {"same": "same modality", "other": "other modality"}  # of the queries, relative to the items
_COLUMNS = 6


def settings_table(rows: Rows, k: int) -> Table:
    """Every search parameter of every index; the terminal leaves dominated ones out.

    Args:
        rows: Of the comparison.
        k: Items per query.
    """
    first = rows[0]
    title = f"{first['queries']:,} queries of a modality, {first['items']:,} items, k = {k}, recall in %"
    note = (
        "Query encoding is counted. dominated: another row has no less of both recalls, costs no more CPU time and no "
        "more memory, and is better in one of them. Of a GPU the wall-clock time is its cost."
    )
    numbers = ("CPU µs\nper query", "wall µs\nper query", "top 1\nin 1", f"overlap\nat {k}", "size", "build\nCPU s")
    texts = (Column(name, is_text=True) for name in ("queries", "index", "setting"))
    columns = (*texts, *map(Column, numbers), Column(""))
    return Table("pareto", title, columns, tuple(_row(row, k) for row in rows), (note,), frozenset({"dominated"}))


def _row(row: Mapping[str, Any], k: int) -> Row:
    recalls = percent_text(row["top1_in_k"][1]), percent_text(row["overlap_at_k"][k])
    costs = bytes_text(row["index_bytes"]), f"{row['build_cpu_seconds']:.1f}"
    state = "dominated" if row["is_dominated"] else ""
    what = MODALITIES[row["query_modality"]], row["index"], row["setting"]
    texts = *what, f"{row['cpu_us']:.1f}", f"{row['wall_us']:.1f}", *recalls, *costs, state
    return Row(text_cells(*texts), "dominated" if row["is_dominated"] else "run")


def speed_up_table(rows: Rows, baseline: str, kind: str, k: int) -> Table:
    """How much less CPU time each index takes than the baseline at the recall of the baseline's search parameters.

    Args:
        rows: Of the comparison, of queries of one modality.
        baseline: Index that the others are compared with.
        kind: ``top1_in_k`` or ``overlap_at_k``.
        k: Its k.

    Returns:
        A column per search parameter of the baseline that none of its others dominates; its heading is the recall, so
        that every speed-up has one. A dash where an index does not reach that recall.
    """
    of_baseline = [row for row in rows if row["index"] == baseline]
    gains, costs = (np.array([[value] for value in column]) for column in _columns(of_baseline, kind, k))
    points = sorted(
        (row[kind][k], row["cpu_us"], row["setting"])
        for row, is_out in zip(of_baseline, dominated(gains, costs), strict=True)
        if not is_out
    )
    points = _spread(points)
    found_rows = []
    for name in dict.fromkeys(row["index"] for row in rows):
        recalls, times = _columns([row for row in rows if row["index"] == name], kind, k)
        found = [cost_at_recall(recalls, times, recall) for recall, _, _ in points]
        ratios = [NOTHING if c is None else f"{cost / c:.2f}x" for c, (_, cost, _) in zip(found, points, strict=True)]
        found_rows.append(Row(text_cells(name, *ratios)))
    headings = [f"{percent_text(recall)} %\n{parameters}" for recall, _, parameters in points]
    columns = (Column("index", is_text=True), *map(Column, headings))
    modality = rows[0]["query_modality"]
    title = f"{MODALITIES[modality]}: speed-up over {baseline} at equal recall ({KINDS[kind].format(k=k)})"
    note = (
        "CPU time of the baseline over that of the index at the recall of the heading, interpolated between the "
        "neighbouring search parameters of the index; – where it does not reach that recall. Of a GPU the wall-clock "
        "time is its cost: such a ratio compares two machines."
    )
    name = f"speed-up-{kind.replace('_', '-')}{'' if modality == 'same' else '-other-modality'}"
    return Table(name, title, columns, tuple(found_rows), (note,))


def _columns(rows: Rows, kind: str, k: int) -> tuple[list[float], list[float]]:
    """Recall and CPU time of each row."""
    return [row[kind][k] for row in rows], [row["cpu_us"] for row in rows]


def _spread(points: Sequence[tuple[float, float, str]]) -> list[tuple[float, float, str]]:
    """At most six, the ends included."""
    if len(points) <= _COLUMNS:
        return list(points)
    chosen = np.unique(np.linspace(0, len(points) - 1, _COLUMNS).round().astype(int))
    return [points[position] for position in chosen]
