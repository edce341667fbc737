"""``fico label``: pseudo-labels of a data set's images."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from fico.cli.options import DatasetOptions, Device, LabelOptions, with_groups

label_app = typer.Typer(no_args_is_help=True, help="Label the images of a data set with a model.")


@label_app.command()
@with_groups
def q2l(
    data: DatasetOptions,
    output: LabelOptions,
    weights: Annotated[Path, typer.Option(metavar="FILE", help="checkpoint.pkl of the authors, or .safetensors.")],
    config: Annotated[Path | None, typer.Option(metavar="JSON", help="config_new.json of the authors.")] = None,
    threshold: Annotated[float, typer.Option(help="Lowest probability of an assigned class.")] = 0.5,
    normalisation: Annotated[
        Literal["model", "none"], typer.Option(help="none: 0..1 as it is, as FiCo-ITR's toolkit does.")
    ] = "model",
    size: Annotated[int | None, typer.Option(help="Side of the input, in pixels. Default: the model's.")] = None,
    device: Device = None,
) -> None:
    """Query2Label: the 80 classes of COCO. Resumes after an interruption."""
    from fico.cli.label import label_q2l

    path = label_q2l(
        data.build(),
        output.build(),
        weights=weights,
        config=config,
        threshold=threshold,
        normalisation=normalisation,
        size=size,
        device=device,
    )
    typer.echo(path)


@label_app.command()
@with_groups
def zeroshot(
    data: DatasetOptions,
    output: LabelOptions,
    model: Annotated[str, typer.Option(metavar="DIR|NAME", help="CLIP, SigLIP or another dual encoder.")],
    classes: Annotated[str, typer.Option(metavar="coco80|FILE", help="Class names, one a line.")] = "coco80",
    template: Annotated[str, typer.Option(help="Prompt with {} for the class name.")] = "a photo of a {}.",
    threshold: Annotated[
        float | None, typer.Option(help="Standard deviations above the mean of the class. Default without --top-k: 2.")
    ] = None,
    top_k: Annotated[int | None, typer.Option(help="Instead: number of classes per image.")] = None,
    device: Device = None,
) -> None:
    """Any classes, by cosine similarity with a prompt for each. Resumes after an interruption."""
    from fico.cli.label import label_zeroshot

    path = label_zeroshot(
        data.build(),
        output.build(),
        model=model,
        classes=classes,
        template=template,
        threshold=threshold,
        top_k=top_k,
        device=device,
    )
    typer.echo(path)
