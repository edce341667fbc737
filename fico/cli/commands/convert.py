"""``fico convert``: a released checkpoint as safetensors."""

from pathlib import Path
from typing import Annotated

import typer


def convert(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Checkpoint that the authors of a model released.")],
    model: Annotated[str, typer.Option(metavar="NAME", help="Its model, such as vsrn; a wrong name lists all.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write. Default: next to FILE, as .safetensors.")
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Execute the code in a pickle. Only for files whose source you trust.")
    ] = False,
) -> None:
    """Write an authors' checkpoint as safetensors under our names, which model.weights takes."""
    from fico.cli.convert import convert as convert_file

    converted = convert_file(file, model, out, trust=trust, warn=lambda text: typer.echo(f"fico: {text}", err=True))
    typer.echo(
        f"wrote {converted.tensors} tensors ({converted.values:,} values) to {converted.path}; "
        f"use them with model={model} model.weights={converted.path}"
    )
