"""The comparison of indexes on the embeddings of a run: times, size, recall relative to exact search."""

from collections.abc import Iterable

from fico.report.results.display import DIRECTION_NAMES
from fico.report.results.schema import SearchRow
from fico.report.table.table import NOTHING, Cell, Column, Row, Table
from fico.util.units import bytes_text, percent_text, seconds_text

TASK_METRICS = ("R@10", "mAP@100")  # of the retrieval task through an index, where there are several
NOTE = (
    "Top 1 in k: the fraction of queries whose exact nearest item is among the first k found; overlap at k: the "
    "fraction of the exact k nearest among the first k. Task: R@K and mAP@K when the index ranks. "
    "/both: codes learnt from queries and items, not from the items alone."
)


def search_table(rows: Iterable[SearchRow]) -> Table:
    """One row for each index and direction; the terminal shows the columns that fit into 100 characters.

    Args:
        rows: Of ``results.json``.
    """
    rows = tuple(rows)
    columns = _Columns(rows)
    return Table("search", "Search: fraction of what exact search finds, in %", columns.headings, columns.rows)


class _Columns:
    """The cut-offs and task metrics that the rows have, and which of them a terminal has room for."""

    def __init__(self, rows: tuple[SearchRow, ...]) -> None:
        self._rows = rows
        self._top1 = sorted({k for row in rows for k in row.top1_in_k})
        overlap = sorted({k for row in rows for k in row.overlap_at_k})
        self._overlap = [k for k in overlap if k != 1] or overlap  # at 1 it is top 1 in 1
        self._task = list(dict.fromkeys(name for row in rows for name in row.details.get("task", {})))

    @property
    def headings(self) -> tuple[Column, ...]:
        """Index, counts and costs, then the recalls relative to exact search, then the task's metrics."""
        last = {name.partition("@")[0]: name for name in self._task}  # of other cut-offs the largest
        usual = [name for name in self._task if name in TASK_METRICS] or list(last.values())
        top1 = self._top1[:1] if usual else self._top1[-3:]
        return (
            Column("index", is_text=True),
            *(Column(name) for name in ("queries\nin items", "build", "search", "size")),
            *(Column(f"in {k}", "top 1", is_detail=k not in top1) for k in self._top1),
            *(Column(f"at {k}", "overlap", is_detail=k != self._overlap[-1]) for k in self._overlap),
            *(Column(name, "task", is_detail=name not in usual) for name in self._task),
        )

    @property
    def rows(self) -> tuple[Row, ...]:
        """In the order of ``results.json``."""
        return tuple(Row(self._cells(row)) for row in self._rows)

    def _cells(self, row: SearchRow) -> tuple[Cell, ...]:
        direction = str(row.details.get("direction", ""))
        task = row.details.get("task", {})
        fractions = [
            *map(row.top1_in_k.get, self._top1),
            *map(row.overlap_at_k.get, self._overlap),
            *map(task.get, self._task),
        ]
        return (
            Cell(row.index, direction, hint=DIRECTION_NAMES.get(direction, "")),
            Cell(f"{row.queries:,} in {row.items:,}"),
            *cost_cells(row),
            *map(percent_cell, fractions),
        )


def cost_cells(row: SearchRow) -> tuple[Cell, Cell, Cell]:
    """Seconds to build, seconds to search, bytes."""
    return (
        Cell(seconds_text(row.build_seconds), numbers={"": row.build_seconds}),
        Cell(seconds_text(row.search_seconds), numbers={"": row.search_seconds}),
        Cell(bytes_text(row.index_bytes), numbers={"": float(row.index_bytes)}),
    )


def percent_cell(fraction: float | None) -> Cell:
    """A fraction in percent; a dash where it is not known."""
    return Cell(NOTHING) if fraction is None else Cell(percent_text(fraction), numbers={"": 100 * fraction})
