"""``fico cascade``: a coarse model screens, a fine model ranks."""

from pathlib import Path
from typing import Annotated

import typer


def cascade(
    screen: Annotated[Path, typer.Argument(metavar="CG_RUN", help="Run whose codes or embeddings screen.")],
    rank: Annotated[Path, typer.Argument(metavar="FG_RUN", help="Run on the same data whose model ranks.")],
    k: Annotated[
        str,
        typer.Option(
            metavar="K,...", help="Candidates of each query; 5%: of the gallery, the same fraction in both directions."
        ),
    ] = "10,20,50,100",
    index: Annotated[
        str | None,
        typer.Option("--screen", metavar="INDEX", help="Of floats: itq:64, flat, hnsw. Default: the run's codes."),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder to write. Default: below outputs.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a cascade in that folder.")] = False,
    device: Annotated[str, typer.Option(help="Of the ranker: cpu, cuda, ...")] = "cpu",
) -> None:
    """One model screens the gallery, another ranks the candidates: quality, time and bytes at each k."""
    from fico.bench.cascade.request import check_target, checked_request, read_depths
    from fico.cli.options import check_folders, report

    check_folders([screen, rank], None)
    request = checked_request(screen, rank, read_depths(k), index)
    if out is not None:
        check_target(out, overwrite=overwrite)
    from fico.cli.cascade import run_cascade

    typer.echo(run_cascade(request, out, device=device, report=report).resolve())
