"""``fico verify``: a run's metrics, recomputed."""

from pathlib import Path
from typing import Annotated

import typer

from fico.errors import FicoError


def verify(run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")]) -> None:
    """Recompute the metrics of a run from its stored embeddings and say whether they are the same."""
    from fico.cli.verify import verify_run

    count, differences = verify_run(run)
    for difference in differences:
        typer.echo(f"{difference.name}: stored {difference.stored}, recomputed {difference.found}")
    if differences:
        raise FicoError(
            f"{len(differences)} of {count} metrics of {run} do not follow from its embeddings; "
            "its files were changed, or another release wrote them"
        )
    typer.echo(f"all {count} metrics of {run} are the same when recomputed from its embeddings")
