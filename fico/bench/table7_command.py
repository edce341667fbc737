"""``python -m fico.bench.search``: predicts, measures and prints Table 7, and writes it as JSON."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from fico.bench.table7 import INDEXES, Table7
from fico.bench.table7_paper import PAPER
from fico.files import written_whole


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command.

    Args:
        arguments: Of the command line. None: those of the process.

    Raises:
        UsageError: The machine cannot hold what was asked for, or a value is out of range.
    """
    options = _parser().parse_args(arguments)
    console = Console(stderr=True)
    bench = Table7(
        options.queries,
        options.items,
        dim=options.dim,
        seed=options.seed,
        indexes=options.indexes.split(","),
        searched=options.searched,
        truth=options.truth,
        rows_path=options.rows,
    )
    bench = bench if options.threads is None else replace(bench, threads=options.threads)
    bench.check()
    console.print(predictions(bench))
    result = bench.run(lambda step: console.print(f"measuring: {step}"))
    with written_whole(options.out) as path:
        path.write_text(json.dumps(result, indent=1, default=str))
    Console(width=max(140, console.width)).print(measurements(result["rows"], bench))
    Console().print(str(options.out), soft_wrap=True)


def predictions(bench: Table7) -> Table:
    """Table of the expected seconds and memory."""
    table = Table("index", "seconds", "GiB", title=f"predicted for {bench.queries} queries, {bench.items} items")
    for name, (seconds, size) in bench.predicted().items():
        table.add_row(name, f"{seconds:.0f}", f"{size / 2**30:.2f}")
    return table


def measurements(rows: Sequence[Mapping[str, Any]], bench: Table7) -> Table:
    """Table of the measurements, the paper's recall below ours where it is known; recalls in percent."""
    title = f"{bench.queries} queries, {bench.items} items, {bench.threads} threads"
    table = Table("index", "build s", "search s", "CPU us/query", "MB", title=title)
    for kind in ("top1_in", "overlap_at"):
        for k in bench.ks:
            table.add_column(f"{kind}_{k}", justify="right")
    paper = PAPER.get((bench.queries, bench.items), {})
    for row in rows:
        cost = 1e6 * row["search_cpu_seconds"] / row["queries"]
        cells = [f"{row['build_seconds']:.1f}", f"{row['all_queries_seconds']:.1f}", f"{cost:.1f}"]
        cells.append(f"{row['index_bytes'] / 1e6:.1f}")
        recalls = [row[kind][k] for kind in ("top1_in_k", "overlap_at_k") for k in bench.ks]
        table.add_row(row["settings"], *cells, *(f"{100 * recall:.1f}" for recall in recalls))
        if row["index"] in paper:
            known = paper[row["index"]]
            times = ["" if value is None else f"{value:.1f}" for value in (known.build_seconds, known.search_seconds)]
            found = ["" if k not in known.recall else f"{known.recall[k]:.1f}" for k in bench.ks]
            table.add_row("  the paper", *times, "", "", *found, style="dim")
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m fico.bench.search", description=__doc__)
    parser.add_argument("--queries", type=int, default=10_000, help="of the experiment (default 10000)")
    parser.add_argument("--items", type=int, default=50_000, help="default 50000; the paper: 500000, 2500000, 5000000")
    parser.add_argument("--dim", type=int, default=2048, help="numbers in a vector (default 2048)")
    parser.add_argument("--seed", type=int, default=1338, help="of the data (default 1338, FAISS's)")
    parser.add_argument("--indexes", default=",".join(INDEXES), help="comma-separated")
    parser.add_argument("--searched", type=int, default=10_000, help="queries searched; times are scaled to all")
    parser.add_argument("--truth", type=int, default=1000, help="queries with an exact answer")
    parser.add_argument("--threads", type=int, help="default all cores")
    parser.add_argument("--rows", type=Path, help="file for the floats of the hybrid index instead of memory")
    parser.add_argument("--out", type=Path, default=Path("outputs/table7.json"), help="default outputs/table7.json")
    return parser
