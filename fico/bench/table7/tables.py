"""Table 7 from the rows of its bench, with the paper's row below where it is known."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fico.bench.timing import threads_text
from fico.report.paper.published_search import PAPER, PaperRow
from fico.report.table.table import Column, Row, Table, text_cells
from fico.util.units import bytes_text, percent_text

_NOTE = (
    "Recall in %: top 1 in k, the exact nearest item is among the first k (the paper's R@k); overlap at k, fraction of "
    "the exact k nearest. Queries: those searched; the seconds of search are for all, scaled from them. The paper's "
    "are of 56 cores: compare rows of one machine."
)
_GPU_NOTE = (
    "Recall in %, as the paper's. Search: all queries, the vectors on the device, the results in memory. Roofline: the "
    "least time for products and reading of floats, at rates measured on the same device. The paper's seconds are of "
    "56 cores."
)
_SAME_WORK = {"flat": "flat", "popcount": "binary_flat"}  # the paper's row of the same exact answers

Measured = Mapping[str, Any]


def cpu_table(rows: Sequence[Measured], queries: int, items: int, ks: Sequence[int], cores: int) -> Table:
    """The measurements on a CPU.

    Args:
        rows: Of the bench.
        queries: Of the experiment.
        items: Of the experiment.
        ks: Cut-offs to show.
        cores: That were used.
    """
    title = f"Table 7: {queries:,} queries, {items:,} items, {threads_text(cores)}"
    names = ("queries", "build\ns", "build\nCPU s", "search\ns", "CPU µs\nper query", "size")
    paper = PAPER.get((queries, items), {})
    return _table(title, queries, names, rows, ks, _cpu_costs, lambda row: paper.get(row["index"]), _NOTE)


def gpu_table(rows: Sequence[Measured], queries: int, items: int, ks: Sequence[int]) -> Table:
    """The measurements on a GPU.

    Args:
        rows: Of the bench.
        queries: Of the experiment.
        items: Of the experiment.
        ks: Cut-offs to show.
    """
    title = f"Table 7: {queries:,} queries, {items:,} items, one {', '.join({row['gpu'] for row in rows})}"
    names = ("queries", "build\ns", "encode\ns", "search\ns", "roofline\ns", "of it\n%", "size")
    paper = PAPER.get((queries, items), {})
    return _table(
        title, queries, names, rows, ks, _gpu_costs, lambda row: paper.get(_SAME_WORK.get(row["index"], "")), _GPU_NOTE
    )


def _table(
    title: str,
    queries: int,
    costs: Sequence[str],
    rows: Sequence[Measured],
    ks: Sequence[int],
    costs_of: Callable[[Measured], tuple[str, ...]],
    published: Callable[[Measured], PaperRow | None],
    note: str,
) -> Table:
    """Costs, then both recalls at each cut-off; the paper's row has its times in the same columns."""
    columns = [Column("index", is_text=True), *map(Column, costs)]
    columns += [Column(f"{word} {k}", recall) for recall, word in (("top 1", "in"), ("overlap", "at")) for k in ks]
    found: list[Row] = []
    for row in rows:
        recalls = (percent_text(row[recall][k]) for recall in ("top1_in_k", "overlap_at_k") for k in ks)
        found.append(Row(text_cells(row["settings"], *costs_of(row), *recalls)))
        if (paper := published(row)) is not None:
            found.append(_paper_row(paper, queries, ks, len(columns)))
    return Table("table7", title, tuple(columns), tuple(found), (note,))


def _cpu_costs(row: Measured) -> tuple[str, ...]:
    seconds = [row[f"{name}_seconds"] for name in ("build", "build_cpu", "all_queries")]
    per_query = 1e6 * row["search_cpu_seconds"] / row["queries"]
    costs = (f"{value:.1f}" for value in (*seconds, per_query))
    return (f"{row['queries']:,}", *costs, bytes_text(row["index_bytes"]))


def _gpu_costs(row: Measured) -> tuple[str, ...]:
    seconds = [row[f"{name}_seconds"] for name in ("build", "encode", "search", "roofline")]
    reached = percent_text(row["roofline_seconds"] / row["search_seconds"], 0)
    return (f"{row['queries']:,}", *(f"{value:.2f}" for value in seconds), reached, bytes_text(row["index_bytes"]))


def _paper_row(paper: PaperRow, queries: int, ks: Sequence[int], width: int) -> Row:
    times = ["" if value is None else f"{value:.2f}" for value in (paper.build_seconds, paper.search_seconds)]
    recalls = ["" if k not in paper.recall else f"{paper.recall[k]:.1f}" for k in ks]
    unknown = [""] * (width - 5 - 2 * len(ks))
    return Row(
        text_cells("paper", f"{queries:,}", times[0], "", times[1], *unknown, *recalls, *[""] * len(ks)), "paper"
    )
