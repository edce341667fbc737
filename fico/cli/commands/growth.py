"""``fico growth``: a gallery that grows by distractors."""

from pathlib import Path
from typing import Annotated

import typer

from fico.cli.options import check_folders
from fico.errors import UsageError


def growth(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run, whose queries are used.")],
    distractors: Annotated[
        list[Path],
        typer.Option("--distractors", metavar="RUN", help="Run of the same model on other images; several times."),
    ],
    sizes: Annotated[
        str | None, typer.Option(metavar="N,N", help="Images of each gallery. Default: powers of two.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Order of the distractors.")] = 0,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where to write. Default: the run.")] = None,
) -> None:
    """R@K and cost while real distractors join the gallery: embeddings of other splits or other data sets."""
    check_folders([run, *distractors], None)
    from fico.cli.growth import FILES, grow_run, growth_table
    from fico.report.table.terminal import print_table

    wanted = None if sizes is None else [_number(size) for size in sizes.split(",")]
    grown = grow_run(run, distractors, sizes=wanted, seed=seed, out=out)
    print_table(growth_table(grown))
    typer.echo("\n".join(str(grown.folder / name) for name in FILES))


def _number(text: str) -> int:
    if not text.strip().isdigit():
        raise UsageError(f"--sizes holds {text!r}; give whole numbers with commas, such as 1000,5000")
    return int(text)
