"""``fico split``: splits of a new data set."""

from pathlib import Path
from typing import Annotated

import typer


def split(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="With a Karpathy JSON or COCO's captions JSON.")],
    val: Annotated[float, typer.Option(min=0, max=1, help="Fraction of the images for validation.")] = 0.1,
    test: Annotated[float, typer.Option(min=0, max=1, help="Fraction of the images for testing.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Seed of the assignment.")] = 0,
    key: Annotated[
        str, typer.Option(metavar="NAME", help="Field of the JSON that takes the splits; use it as dataset.split_key.")
    ] = "split",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to write. Default: the JSON that was read."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", "--force", help="Replace an existing field.")] = False,
) -> None:
    """Add splits stratified by label to a new data set; its JSON records the method, seed and counts."""
    from fico.cli.data.split import split_dataset

    made = split_dataset(folder, val=val, test=test, seed=seed, key=key, out=out, overwrite=overwrite)
    for name, (images, captions) in made.counts.items():
        typer.echo(f"{name}: {images:,} images, {captions:,} captions")
    if made.largest_gap is not None:
        typer.echo(f"category frequencies of a split differ from those of all images by at most {made.largest_gap:.4f}")
    typer.echo(f"wrote {made.path} (fingerprint {made.fingerprint[:12]}); use it with dataset.split_key={key}")
