"""``fico reproduce``: the paper's tables from the weights and data at hand."""

from pathlib import Path
from typing import Annotated

import typer

from fico.errors import FicoError


def reproduce(
    weights: Annotated[Path, typer.Option(metavar="DIR", help="Released weights: MODEL-DATASET.safetensors, ...")],
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder with the folders flickr30k and coco.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where runs and report go.")] = Path("outputs/reproduce"),
    budget: Annotated[str | None, typer.Option(metavar="TIME", help="Such as 1h; what exceeds it is left out.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be measured and what is missing.")] = False,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE...]", help="For every run that has the key: trainer=gpu.")
    ] = None,
) -> None:
    """Every table and figure of the paper that the weights and data at hand allow, ours beside theirs."""
    from fico.cli.report import report_runs
    from fico.cli.reproduce.inputs import find_rows
    from fico.cli.reproduce.plan import plan, plan_table
    from fico.cli.reproduce.reproduce import reproduce as take
    from fico.report.table.terminal import print_table
    from fico.util.duration import seconds_of

    seconds = None if budget is None else seconds_of(budget, "--budget")
    rows = find_rows(weights, data)
    steps = plan(rows, overrides or [])
    print_table(plan_table(steps, rows))
    if dry_run:
        return
    finished, problems = take(steps, out, budget=seconds, say=lambda line: typer.echo(line, err=True))
    folder, _, filled = report_runs(finished, out / "report")
    for table in filled.tables:
        typer.echo(table.title)
    for problem in problems:
        typer.echo(f"fico: {problem}", err=True)
    typer.echo(folder / "report.html")
    if any(": failed " in problem for problem in problems):
        raise FicoError("some runs failed; the lines above have their commands, and the same command tries them again")
