"""Table 7 of the paper: indexes on the embeddings of runs and on the vectors of the search bench."""

from collections.abc import Sequence

from fico.report.paper.published_search import PAPER, PaperRow
from fico.report.results.display import DIRECTION_NAMES
from fico.report.results.protocol import Protocol
from fico.report.results.runs import machine
from fico.report.results.schema import Results, SearchRow
from fico.report.results.seeds import SeedGroup, group_seeds
from fico.report.run_summary.search_table import TASK_METRICS, cost_cells, percent_cell
from fico.report.table.table import NOTHING, Cell, Column, Row, Table, distinct, text_cells
from fico.util.units import seconds_text

SHOWN_CUTOFFS = 3  # the smallest k of top 1 in k


def index_table(protocol: Protocol, runs: Sequence[Results], key: str) -> Table | None:
    """Table 7 on one data set: times, size, and how much each index finds of what exact search finds.

    Args:
        protocol: What the runs share.
        runs: Finished runs of that protocol.
        key: Name of the data set in file names.

    Returns:
        None where no index was run.
    """
    searched = [(group, rows) for group in group_seeds(runs) if (rows := searched_rows(group))]
    if not searched:
        return None
    every = [row for _, rows in searched for row in rows]
    top1 = sorted({k for row in every for k in row.top1_in_k})[:SHOWN_CUTOFFS]
    overlap = sorted({k for row in every for k in row.overlap_at_k})[-1:]
    task = [name for name in TASK_METRICS if any(name in row.details.get("task", {}) for row in every)]
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
    lines = [line for group, own in searched for row in own for line in _rows(group.label, row, *shown)]
    machines = sorted({machine(run) for group, _ in searched for run in group.runs if run.search})
    notes = distinct([
        "Fraction of what exact search finds, in percent: top 1 in k, the queries whose exact nearest item is among "
        "the first k found; overlap at k, the exact k nearest among them. Search is the whole batch of queries.",
        "task: R@K and mAP@K of the retrieval task when the index ranks, in percent." if task else "",
        "Of several seeds the first that ran an index is shown: times and sizes do not depend on the seed.",
        f"Measured on {'; '.join(machines)}.",
        "Times of different machines must not be compared." if len(machines) > 1 else "",
        "paper: FiCo-ITR, arXiv 2407.20114, 56 cores." if any(line.kind == "paper" for line in lines) else "",
    ])  # fmt: skip
    return Table(f"table7-{key}", f"Table 7: indexes, {protocol.description}", columns, tuple(lines), notes)


def searched_rows(group: SeedGroup) -> list[SearchRow]:
    """Each index once in each direction or modality of queries; of one seed, and of several runs with it the newest."""
    found: dict[tuple[str, ...], tuple[int, SearchRow]] = {}
    for run in sorted(group.runs, key=lambda run: run.started, reverse=True):
        for row in run.search:
            what = row.index, *(str(row.details.get(name, "")) for name in ("direction", "query_modality", "settings"))
            if what not in found or run.seed < found[what][0]:
                found[what] = run.seed, row
    return [row for _, row in found.values()]


def _rows(label: str, row: SearchRow, top1: Sequence[int], overlap: Sequence[int], task: Sequence[str]) -> list[Row]:
    direction = DIRECTION_NAMES.get(str(row.details.get("direction")), "")
    fractions = [*map(row.top1_in_k.get, top1), *map(row.overlap_at_k.get, overlap)]
    found = map(percent_cell, (*fractions, *map(row.details.get("task", {}).get, task)))
    counts = f"{row.queries:,}", f"{row.items:,}"
    rows = [Row((*text_cells(label, row.index, direction, *counts), *cost_cells(row), *found))]
    paper = PAPER.get((row.queries, row.items), {}).get(row.index)
    if paper is not None:
        rows.append(_paper(row.index, paper, top1, len(overlap) + len(task)))
    return rows


def _paper(index: str, paper: PaperRow, top1: Sequence[int], others: int) -> Row:
    times = (
        Cell(NOTHING) if seconds is None else Cell(seconds_text(seconds), numbers={"": seconds})
        for seconds in (paper.build_seconds, paper.search_seconds)
    )
    fractions = [None if k not in paper.recall else paper.recall[k] / 100 for k in top1]
    unknown = [Cell(NOTHING)] * others
    names = text_cells("paper", index, "", "", "")
    return Row((*names, *times, Cell(NOTHING), *map(percent_cell, fractions), *unknown), "paper")
