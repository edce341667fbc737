"""``fico serve``: searches with trained models on a local page."""

from pathlib import Path
from typing import Annotated

import typer


def serve(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders that runs printed last.")],
    images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Search the images of this folder. Default: what the runs were tested on."),
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Default: 8765, or the next one that is free.")
    ] = None,
    k: Annotated[int, typer.Option(min=1, max=100, help="How many items each column shows.")] = 10,
    device: Annotated[str, typer.Option(help="cpu, cuda, ...")] = "cpu",
) -> None:
    """Search with trained models on a local page, one column for each run and index.

    Type a sentence, choose an image file, or pick a caption or an image of the tested split, whose matching item is
    marked. Only this machine reaches the page, and the page loads nothing from elsewhere.
    """
    from fico.cli.options import report
    from fico.cli.serve import serve_runs

    try:
        serve_runs(runs, images, port=port, k=k, device=device, report=report)
    except KeyboardInterrupt:
        report("stopped")
        raise typer.Exit(130) from None
