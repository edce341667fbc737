"""Table 7 of the paper: indexes on the embeddings of runs and on the vectors of the search bench."""

from collections.abc import Sequence

from fico.report.paper.table7_numbers import PAPER, PaperRow
from fico.report.results.runs import machine
from fico.report.results.schema import Results, SearchRow
from fico.report.results.seeds import Protocol, Setting, settings
from fico.report.table.run_tables import DIRECTIONS, TASK_COLUMNS, bytes_text, seconds_text
from fico.report.table.table import (
    NOTHING,
    Cell,
    Column,
    Grid,
    Row,
    joined,
    words,
)

LAST = 3  # numbers of places shown: the largest


def search_grid(protocol: Protocol, runs: Sequence[Results], key: str) -> Grid | None:
    """Table 7 on one data set: times, size, and how much each index finds of what exact search finds.

    Args:
        protocol: What the runs share.
        runs: Finished runs of that protocol.
        key: Name of the data set in file names.

    Returns:
        None where no index was run.
    """
    searched = [(setting, rows) for setting in settings(runs) if (rows := searched_rows(setting))]
    if not searched:
        return None
    every = [row for _, rows in searched for row in rows]
    top1 = sorted({k for row in every for k in row.top1_in_k})[:LAST]
    overlap = sorted({k for row in every for k in row.overlap_at_k})[-1:]
    task = [name for name in TASK_COLUMNS if any(name in row.details.get("task", {}) for row in every)]
    columns = (
        Column("model", is_text=True),
        Column("index", is_text=True),
        Column("", is_text=True),
        *(Column(name) for name in ("queries", "items", "build", "search", "size")),
        *(Column(f"in {k}", "top 1") for k in top1),
        *(Column(f"at {k}", "overlap") for k in overlap),
        *(Column(name, "task") for name in task),
    )
    shown = top1, overlap, task
    lines = [line for setting, own in searched for row in own for line in _rows(setting.label, row, *shown)]
    machines = sorted({machine(run) for setting, _ in searched for run in setting.runs if run.search})
    notes = joined([
        "Share of what exact search finds, in percent: top 1 in k, the queries whose exact nearest item is among the "
        "first k found; overlap at k, the exact k nearest among them. Search is the whole batch of queries.",
        "task: the metric itself when the index ranks, in percent." if task else "",
        "Of several seeds the first that ran an index stands for all: times and sizes are no matter of the seed.",
        f"Measured on {'; '.join(machines)}.",
        "Times of different machines must not be compared." if len(machines) > 1 else "",
        "paper: FiCo-ITR, arXiv 2407.20114, 56 cores." if any(line.kind == "paper" for line in lines) else "",
    ])  # fmt: skip
    return Grid(f"table7-{key}", f"Table 7: indexes, {protocol.words}", columns, tuple(lines), notes)


def searched_rows(setting: Setting) -> list[SearchRow]:
    """Each index of a setting once in each direction; of one seed, and of several runs with it the newest."""
    found: dict[tuple[str, str, str], tuple[int, SearchRow]] = {}
    for run in sorted(setting.runs, key=lambda run: run.started, reverse=True):
        for row in run.search:
            what = row.index, str(row.details.get("direction", "")), str(row.details.get("settings", ""))
            if what not in found or run.seed < found[what][0]:
                found[what] = run.seed, row
    return [row for _, row in found.values()]


def _rows(label: str, row: SearchRow, top1: Sequence[int], overlap: Sequence[int], task: Sequence[str]) -> list[Row]:
    way = DIRECTIONS.get(str(row.details.get("direction")), "")
    measured = [
        Cell(seconds_text(row.build_seconds), numbers={"": row.build_seconds}),
        Cell(seconds_text(row.search_seconds), numbers={"": row.search_seconds}),
        Cell(bytes_text(row.index_bytes), numbers={"": float(row.index_bytes)}),
    ]
    shares = [*map(row.top1_in_k.get, top1), *map(row.overlap_at_k.get, overlap)]
    found = map(_share, (*shares, *map(row.details.get("task", {}).get, task)))
    rows = [Row((*words(label, row.index, way, f"{row.queries:,}", f"{row.items:,}"), *measured, *found))]
    paper = PAPER.get((row.queries, row.items), {}).get(row.index)
    if paper is not None:
        rows.append(_paper(row.index, paper, top1, len(overlap) + len(task)))
    return rows


def _paper(index: str, paper: PaperRow, top1: Sequence[int], others: int) -> Row:
    times = (
        Cell(NOTHING) if seconds is None else Cell(seconds_text(seconds), numbers={"": seconds})
        for seconds in (paper.build_seconds, paper.search_seconds)
    )
    shares = [None if k not in paper.recall else paper.recall[k] / 100 for k in top1]
    unknown = [Cell(NOTHING)] * others
    return Row((*words("paper", index, "", "", ""), *times, Cell(NOTHING), *map(_share, shares), *unknown), "paper")


def _share(share: float | None) -> Cell:
    return Cell(NOTHING) if share is None else Cell(f"{100 * share:.1f}", numbers={"": 100 * share})
