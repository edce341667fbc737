"""Options that several commands share, and how they report progress."""

from pathlib import Path
from typing import Annotated

import typer

Dataset = Annotated[
    str, typer.Option(metavar="NAME", help="A name such as coco; karpathy: any folder in Karpathy form.")
]
Root = Annotated[Path | None, typer.Option(metavar="DIR", help="Its folder.")]
SplitKey = Annotated[str, typer.Option(metavar="KEY", help="Field of the JSON that names an image's split.")]
Splits = Annotated[str, typer.Option(metavar="NAMES", help="Splits to process, with commas.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what other settings made.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, ...; default: a GPU where there is one.")]
Out = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Label file. Default: labels.npz of the data set's folder.")
]
Preview = Annotated[int, typer.Option(min=0, help="Images on the preview page next to the label file; 0 writes none.")]
Truth = Annotated[Path | None, typer.Option(metavar="FILE", help="Label file to compare with: mAP, CF1, OF1.")]
ALL = "train,val,test"


def tell(text: str) -> None:
    """Reports a step on standard error."""
    typer.echo(f"fico: {text}", err=True)
