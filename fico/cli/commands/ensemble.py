"""``fico ensemble``: the mean of several runs' scores."""

from pathlib import Path
from typing import Annotated

import typer

from fico.cli.options import Overwrite, check_new


def ensemble(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Finished runs of the same split.")],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write the files of a run here.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """All metrics of the mean of several runs' scores, as papers combine two models of a kind."""
    from fico.cli.ensemble import ensemble as evaluate_ensemble  # loads torch

    check_new(() if out is None else (out,), overwrite=overwrite)
    evaluate_ensemble(runs, out)
