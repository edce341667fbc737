"""``fico prepare``: a well-known data set, fetched and checked."""

from pathlib import Path
from typing import Annotated

import typer


def prepare(
    dataset: Annotated[str, typer.Argument(metavar="NAME", help="A data set such as coco; a wrong name lists all.")],
    root: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Its folder. Default: data/NAME, as dataset.root.")
    ] = None,
    annotations_only: Annotated[
        bool, typer.Option("--annotations-only", help="Captions, split and labels without images.")
    ] = False,
    keep_archives: Annotated[bool, typer.Option("--keep-archives", help="Keep the archives after unpacking.")] = False,
    mirror: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Folder of the same archives, instead of the official servers."),
    ] = None,
) -> None:
    """Download a data set from its official servers, unpack it and check that it is complete.

    May be interrupted and repeated: it resumes. Where images need a licence, it says where to get it.
    """
    from fico.cli.data.prepare import prepare as prepare_dataset

    prepare_dataset(
        dataset,
        root or Path("data") / dataset,
        annotations_only=annotations_only,
        keep_archives=keep_archives,
        mirror=mirror,
        echo=typer.echo,
    )
