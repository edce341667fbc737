"""``fico report``: tables and figures of finished runs."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Runs, or folders with runs below them.")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to write. Default: report in the first folder.")
    ] = None,
    mteb: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Results in mteb's layout: their models become rows.")
    ] = None,
) -> None:
    """Every table and figure of the paper that these runs can fill, and `explore.html`, any query side by side."""
    from fico.cli.report import report_runs

    folder, found, filled = report_runs(folders, out, mteb)
    for table in filled.tables:
        typer.echo(table.title)
    for caption in filled.captions.values():
        typer.echo(caption)
    for remark in (*filled.remarks, *(f"left out: {path}: {reason}" for path, reason in found.left_out)):
        typer.echo(f"fico: {remark}", err=True)
    typer.echo(folder / "report.html")
