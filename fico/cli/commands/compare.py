"""``fico compare``: runs side by side."""

from pathlib import Path
from typing import Annotated

import typer


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Runs or sweeps; the first is the reference.")],
    every: Annotated[bool, typer.Option("--all", help="All metrics, not only the main ones.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write .md, .tex or .csv too.")] = None,
) -> None:
    """Runs side by side: differences, best in bold, seeds averaged, paired significance tests."""
    from fico.cli.compare import compare_runs, print_comparison, write_comparison

    table, left_out = compare_runs(runs, every=every)
    if out is not None:
        write_comparison(out, table)
    print_comparison(table, in_markdown=as_markdown)
    for path, reason in left_out:
        typer.echo(f"fico: left out: {path}: {reason}", err=True)
