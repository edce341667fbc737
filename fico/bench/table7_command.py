"""``python -m fico.bench.search``: predicts, measures and prints Table 7, and writes it as JSON."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from fico.bench.outcome import predictions
from fico.bench.table7 import INDEXES, Table7
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
        threads=options.threads,
    )
    bench.check()
    console.print(predictions(bench).terminal())
    outcome = bench.run(lambda step: console.print(f"measuring: {step}"))
    with written_whole(options.out) as path:
        path.write_text(json.dumps({"settings": outcome.settings, "rows": outcome.rows}, indent=1, default=str))
    for table in outcome.sheets:
        Console(width=max(140, console.width)).print(table.terminal())
    Console().print(str(options.out), soft_wrap=True)


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
