"""Table 7 as a table: ours, with the paper's row below where it is known."""

from collections.abc import Mapping, Sequence
from typing import Any

from fico.bench.outcome import Sheet, threads
from fico.report.paper.table7_numbers import PAPER, PaperRow

_NOTE = (
    "Recall in %: top1, the exact nearest item is among the first k (the paper's R@k); overlap, share of the exact k "
    "nearest. Seconds of search are for all queries, scaled from those searched. The paper's seconds are of 56 cores: "
    "compare rows of one machine."
)

_GPU_NOTE = (
    "Recall in %, as the paper's. Search: all queries, the vectors on the device, the results in memory. Roofline: "
    "what products and reading of floats must take at rates measured beside. The paper's seconds are of 56 cores."
)
_SAME_WORK = {"flat": "flat", "popcount": "binary_flat"}  # the paper's row of the same exact answers


def sheet(rows: Sequence[Mapping[str, Any]], queries: int, items: int, ks: Sequence[int], cores: int) -> Sheet:
    """The measurements.

    Args:
        rows: Of the bench.
        queries: Of the experiment.
        items: Of the experiment.
        ks: Places to show.
        cores: That were used.
    """
    columns = ["index", "build\ns", "build\nCPU s", "search\ns", "CPU us\n/query", "MB"]
    columns += [f"{kind} {k}" for kind in ("top1\nin", "overlap\nat") for k in ks]
    paper = PAPER.get((queries, items), {})
    cells: list[tuple[str, ...]] = []
    faint = set()
    for row in rows:
        cells.append(_ours(row, ks))
        if row["index"] in paper:
            faint.add(len(cells))
            cells.append(_theirs(paper[row["index"]], ks, ("", "")))
    title = f"Table 7: {queries:,} queries, {items:,} items, {threads(cores)}"
    return Sheet(title, tuple(columns), tuple(cells), frozenset(faint), _NOTE)


def _ours(row: Mapping[str, Any], ks: Sequence[int]) -> tuple[str, ...]:
    cost = 1e6 * row["search_cpu_seconds"] / row["queries"]
    build = (f"{row['build_seconds']:.1f}", f"{row['build_cpu_seconds']:.1f}")
    times = (*build, f"{row['all_queries_seconds']:.1f}", f"{cost:.1f}")
    recalls = [row[kind][k] for kind in ("top1_in_k", "overlap_at_k") for k in ks]
    return (row["settings"], *times, f"{row['index_bytes'] / 1e6:.1f}", *(f"{100 * recall:.1f}" for recall in recalls))


def _theirs(paper: PaperRow, ks: Sequence[int], unknown: tuple[str, ...]) -> tuple[str, ...]:
    times = ["" if value is None else f"{value:.1f}" for value in (paper.build_seconds, paper.search_seconds)]
    found = ["" if k not in paper.recall else f"{paper.recall[k]:.1f}" for k in ks]
    return ("  the paper", times[0], "", times[1], *unknown, *found, *("" for _ in ks))


def gpu_sheet(rows: Sequence[Mapping[str, Any]], queries: int, items: int, ks: Sequence[int]) -> Sheet:
    """The measurements on a GPU.

    Args:
        rows: Of the bench.
        queries: Of the experiment.
        items: Of the experiment.
        ks: Places to show.
    """
    columns = ["index", "build\ns", "encode\ns", "search\ns", "roofline\ns", "of it\n%", "MB"]
    columns += [f"{kind} {k}" for kind in ("top1\nin", "overlap\nat") for k in ks]
    paper = PAPER.get((queries, items), {})
    cells: list[tuple[str, ...]] = []
    faint = set()
    for row in rows:
        cells.append(_on_gpu(row, ks))
        theirs = paper.get(_SAME_WORK.get(row["index"], ""))
        if theirs is not None:
            faint.add(len(cells))
            cells.append(_theirs(theirs, ks, ("", "", "")))
    names = {row["gpu"] for row in rows}
    title = f"Table 7: {queries:,} queries, {items:,} items, one {', '.join(names)}"
    return Sheet(title, tuple(columns), tuple(cells), frozenset(faint), _GPU_NOTE)


def _on_gpu(row: Mapping[str, Any], ks: Sequence[int]) -> tuple[str, ...]:
    seconds = [row[f"{name}_seconds"] for name in ("build", "encode", "search", "roofline")]
    share = 100 * row["roofline_seconds"] / row["search_seconds"]
    recalls = [row[kind][k] for kind in ("top1_in_k", "overlap_at_k") for k in ks]
    texts = [f"{value:.2f}" for value in seconds]
    size = f"{row['index_bytes'] / 1e6:.0f}"
    return (row["settings"], *texts, f"{share:.0f}", size, *(f"{100 * recall:.1f}" for recall in recalls))
