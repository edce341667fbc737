"""``fico export``: a run's results in the layout of others."""

from pathlib import Path
from typing import Annotated

import typer

from fico.cli.options import Overwrite

export_app = typer.Typer(no_args_is_help=True, help="A run's results in the layout of others.")


@export_app.command()
def mteb(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder that a run printed last.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the folder of the model is made.")],
    language: Annotated[str, typer.Option(metavar="CODE", help="Of the captions, as mteb writes it.")] = "eng-Latn",
    overwrite: Overwrite = False,
) -> None:
    """The layout of mteb's results: MODEL/REVISION/TASK.json for each direction, and model_meta.json."""
    from functools import partial

    from fico.cli.verify.run import evaluate_again
    from fico.report.mteb.export import export_run
    from fico.report.results.schema import read_tested

    results = read_tested(run, is_checked=False)
    again = partial(evaluate_again, run, results)
    for path in export_run(results, again, out, language=language, overwrite=overwrite):
        typer.echo(path)
