"""``fico search``: finds images and captions with a trained model."""

from pathlib import Path
from typing import Annotated

import typer


def search(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder that a run printed last.")],
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="What to look for.")] = None,
    images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Search the images of this folder. Default: what the run was tested on."),
    ] = None,
    image: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Instead of TEXT: find captions of this image; with --images, similar images."
        ),
    ] = None,
    k: Annotated[int, typer.Option(min=1, help="How many to find.")] = 5,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write a page with thumbnails.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the page.")] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, ...")] = "cpu",
) -> None:
    """Find images by a sentence, or captions by an image, with a trained model.

    A folder is indexed once and kept in the cache; only new and changed files are encoded again.
    """
    from fico.cli.options import check_folders, report

    check_folders([run], images)
    from fico.cli.search import Query, print_hits, search_run, write_html

    query = Query(text, image)
    if html is not None:
        query.check_page(html, overwrite=overwrite)
    found = search_run(run, query, images, k=k, device=device, report=report)
    if html is not None:
        write_html(html, query, found)
    if as_json:
        typer.echo(found.as_json())
    else:
        print_hits(found)
    if html is not None:
        report(f"the page is {html}")
