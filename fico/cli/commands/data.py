"""``fico data``: a look at a data set."""

from pathlib import Path
from typing import Annotated

import typer

data_app = typer.Typer(no_args_is_help=True, help="Inspect a data set.")


@data_app.command("show")
def data_show(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="shapes, coco, pairs, ..., or a folder in Karpathy form.")
    ],
    root: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder (of pairs: or file) of a data set named by NAME.")
    ] = None,
    split: Annotated[str, typer.Option(help="Split to sample from.")] = "test",
    samples: Annotated[int, typer.Option(min=0, help="Images to show.")] = 24,
    split_key: Annotated[str | None, typer.Option(metavar="KEY", help="Split field of a Karpathy JSON.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Default: NAME-data.html here.")] = None,
) -> None:
    """Write a page with sample images, captions and labels, statistics and chance levels of a data set."""
    from fico.cli.data_show import show

    options = {} if split_key is None else {"split_key": split_key}
    path, numbers, notes = show(name, root, split=split, samples=samples, out=out, options=options)
    for found in numbers:
        labels = "" if found.density is None else f", relevance density {found.density:.4f}"
        typer.echo(f"{found.name}: {found.images:,} images, {found.captions:,} captions{labels}")
    for note in notes:
        typer.echo(note)
    typer.echo(f"wrote {path}")
