"""The tables of the comparison: all settings, and speed-ups at equal recall."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fico.bench.outcome import Sheet
from fico.bench.pareto.frontier import cost_at_recall, dominated

Rows = Sequence[Mapping[str, Any]]
KINDS = {"top1_in_k": "exact nearest item among the first {k}", "overlap_at_k": "overlap with the exact {k} nearest"}
_COLUMNS = 6


def table(rows: Rows, k: int) -> Sheet:
    """Every setting, by index; dominated ones stand back.

    Args:
        rows: Of the comparison.
        k: Items asked for.
    """
    columns = ("index", "setting", "CPU us\n/query", "wall us\n/query", "top1\nin 1", f"overlap\nat {k}", "MB")
    cells = [_cells(row, k) for row in rows]
    faint = frozenset(place for place, row in enumerate(rows) if row["is_dominated"])
    first = rows[0]
    title = f"{first['queries']:,} queries, {first['items']:,} items, k = {k}, recall in %"
    note = (
        "Query encoding is counted. dominated: another setting has no less of both recalls, costs no more CPU time "
        "and no more memory, and wins in one of them. Of a GPU the wall-clock time stands for the cost."
    )
    return Sheet(title, (*columns, "build\nCPU s", ""), tuple(cells), faint, note, is_long=True)


def _cells(row: Mapping[str, Any], k: int) -> tuple[str, ...]:
    recalls = (f"{100 * row['top1_in_k'][1]:.1f}", f"{100 * row['overlap_at_k'][k]:.1f}")
    times = (f"{row['cpu_us']:.1f}", f"{row['wall_us']:.1f}")
    state = "dominated" if row["is_dominated"] else ""
    size, build = f"{row['index_bytes'] / 1e6:.1f}", f"{row['build_cpu_seconds']:.1f}"
    return (row["index"], row["setting"], *times, *recalls, size, build, state)


def speed_up_sheet(rows: Rows, baseline: str, kind: str, k: int) -> Sheet:
    """How much less CPU time each index takes than the baseline at the recall of the baseline's settings.

    Args:
        rows: Of the comparison.
        baseline: Index that the others are compared with.
        kind: ``top1_in_k`` or ``overlap_at_k``.
        k: Its k.

    Returns:
        A column per setting of the baseline that none of its others beats; its heading is the recall, so that no
        speed-up stands without one. A dash where an index does not reach that recall.
    """
    own = [row for row in rows if row["index"] == baseline]
    left_out = dominated(np.array([[row[kind][k]] for row in own]), np.array([[row["cpu_us"]] for row in own]))
    points = sorted(
        (row[kind][k], row["cpu_us"], row["setting"]) for row, o in zip(own, left_out, strict=True) if not o
    )
    points = _spread(points)
    cells = []
    for name in dict.fromkeys(row["index"] for row in rows):
        recalls = [row[kind][k] for row in rows if row["index"] == name]
        costs = [row["cpu_us"] for row in rows if row["index"] == name]
        found = [cost_at_recall(recalls, costs, recall) for recall, _, _ in points]
        ratios = ["–" if c is None else f"{cost / c:.2f}x" for c, (_, cost, _) in zip(found, points, strict=True)]
        cells.append((name, *ratios))
    headings = [f"{100 * recall:.1f} %\n{setting}" for recall, _, setting in points]
    title = f"speed-up over {baseline} at equal recall ({KINDS[kind].format(k=k)})"
    note = (
        "CPU time of the baseline over that of the index at the recall of the heading, interpolated between the "
        "neighbouring settings of the index; – where it does not reach that recall. Of a GPU the wall-clock time "
        "stands for its cost: such a ratio is one of two machines."
    )
    return Sheet(title, ("index", *headings), tuple(cells), note=note)


def _spread(points: Sequence[tuple[float, float, str]]) -> list[tuple[float, float, str]]:
    """At most six, the ends included."""
    if len(points) <= _COLUMNS:
        return list(points)
    chosen = np.unique(np.linspace(0, len(points) - 1, _COLUMNS).round().astype(int))
    return [points[place] for place in chosen]
