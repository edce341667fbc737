"""``fico compare``: runs side by side."""

from pathlib import Path
from typing import Annotated

import typer


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Runs or sweeps; the first is the reference.")],
    every: Annotated[bool, typer.Option("--all", help="All metrics, not only the main ones.")] = False,
    count: Annotated[
        int, typer.Option("--examples", min=0, help="Queries that are answered better, and as many worse; 0: none.")
    ] = 3,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    mteb: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Results in mteb's layout: its models on the same data beside.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write .md, .tex or .csv too.")] = None,
) -> None:
    """Runs side by side: differences, best in bold, seeds averaged, paired significance tests, wins and losses."""
    from fico.cli.compare import beside_mteb, captions_of, check_ending, print_comparison, read_runs, write_comparison
    from fico.report.compare.compare import compare
    from fico.report.compare.examples import examples

    check_ending(out)
    found, left_out = read_runs(runs)
    theirs = beside_mteb(found, mteb) if mteb is not None else []
    table = compare(found, every=every)
    if out is not None:
        write_comparison(out, table)
    print_comparison(table, in_markdown=as_markdown)
    for each in theirs:
        print_comparison(each, in_markdown=as_markdown)
    for each in examples(found, captions_of(found), count=count) if count else ():
        print_comparison(each, in_markdown=as_markdown)
    for path, reason in left_out:
        typer.echo(f"fico: left out: {path}: {reason}", err=True)
