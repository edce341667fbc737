"""``fico data``: a look at a data set, and what two of them share."""

from pathlib import Path
from typing import Annotated

import typer

data_app = typer.Typer(no_args_is_help=True, help="Inspect and compare data sets.")


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
    from fico.cli.data.show import show
    from fico.cli.options import say

    options = {} if split_key is None else {"split_key": split_key}
    path, numbers, notes = show(name, root, split=split, samples=samples, out=out, options=options)
    for found in numbers:
        labels = "" if found.density is None else f", relevance density {found.density:.4f}"
        say(f"{found.name}: {found.images:,} images, {found.captions:,} captions{labels}")
    for note in notes:
        say(note)
    say(f"wrote {path}")


@data_app.command("overlap")
def data_overlap(
    a: Annotated[
        str, typer.Argument(metavar="A", help="NAME:ROOT, a data set's folder or file, or a folder of images.")
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="The same; what A is looked up in, such as a training set.")],
    split_a: Annotated[str | None, typer.Option(metavar="NAMES", help="Of A, with commas. Default: all.")] = None,
    split_b: Annotated[str | None, typer.Option(metavar="NAMES", help="Of B, with commas. Default: all.")] = None,
    bits: Annotated[int, typer.Option(min=0, max=63, help="Most bits in which hashes of copies differ.")] = 8,
    pairs: Annotated[int, typer.Option(min=0, help="Pairs to list.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print all pairs as JSON.")] = False,
    fail_above: Annotated[
        float | None, typer.Option(min=0, max=1, metavar="FRACTION", help="End with 1 if B holds more of A.")
    ] = None,
) -> None:
    """Say how many images of A are in B: by their COCO number, or copies by what they show."""
    import json

    from fico.cli.data.overlap import find_overlap, image_files
    from fico.errors import FicoError

    found = find_overlap(image_files(a, split_a), image_files(b, split_b), most_bits=bits)
    summary = f"{b} holds {found.held:,} of the {found.images[0]:,} images of {a} ({found.fraction:.1%})"
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=1, ensure_ascii=False))
    else:
        for match in found.matches[:pairs]:
            typer.echo(f"{match.a}  {match.b}  {match.by if match.bits is None else f'{match.bits} bits'}")
        if len(found.matches) > pairs:
            typer.echo(f"... {len(found.matches):,} pairs in all; --json lists them")
        typer.echo(summary)
    for reason in found.left_out[:3]:
        typer.echo(f"not compared by content: {reason}", err=True)
    if len(found.left_out) > 3:
        typer.echo(f"not compared by content: {len(found.left_out):,} images in all", err=True)
    if fail_above is not None and found.fraction > fail_above:
        raise FicoError(f"{summary}, more than {fail_above:.1%}; take them out of one of the two")
