"""``fico label``: pseudo-labels of a data set's images."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from fico.cli.commands.options import ALL, Dataset, Device, Out, Overwrite, Preview, Root, SplitKey, Splits, Truth, tell

label_app = typer.Typer(no_args_is_help=True, help="Label the images of a data set with a model.")


@label_app.command()
def q2l(
    dataset: Dataset,
    weights: Annotated[Path, typer.Option(metavar="FILE", help="checkpoint.pkl of the authors, or .safetensors.")],
    root: Root = None,
    split_key: SplitKey = "split",
    splits: Splits = ALL,
    config: Annotated[Path | None, typer.Option(metavar="JSON", help="config_new.json of the authors.")] = None,
    threshold: Annotated[float, typer.Option(help="Lowest probability of an assigned class.")] = 0.5,
    normalisation: Annotated[
        Literal["model", "none"], typer.Option(help="none: 0..1 as it is, as FiCo-ITR's toolkit does.")
    ] = "model",
    size: Annotated[int | None, typer.Option(help="Side of the input, in pixels. Default: the model's.")] = None,
    out: Out = None,
    overwrite: Overwrite = False,
    preview: Preview = 48,
    truth: Truth = None,
    device: Device = None,
) -> None:
    """Query2Label: the 80 classes of COCO. Resumes after an interruption."""
    from fico.cli.dataset_option import DatasetOption
    from fico.cli.label import LabelOutput, label_q2l

    option, output = DatasetOption(dataset, root, split_key, splits), LabelOutput(out, overwrite, preview, truth, tell)
    path = label_q2l(
        option,
        output,
        weights=weights,
        config=config,
        threshold=threshold,
        normalisation=normalisation,
        size=size,
        device=device,
    )
    typer.echo(path)


@label_app.command()
def zeroshot(
    dataset: Dataset,
    model: Annotated[str, typer.Option(metavar="DIR|NAME", help="CLIP, SigLIP or another dual encoder.")],
    root: Root = None,
    split_key: SplitKey = "split",
    splits: Splits = ALL,
    classes: Annotated[str, typer.Option(metavar="coco80|FILE", help="Class names, one a line.")] = "coco80",
    template: Annotated[str, typer.Option(help="Prompt with {} for the class name.")] = "a photo of a {}.",
    threshold: Annotated[
        float | None, typer.Option(help="Standard deviations above the mean of the class. Default without --top-k: 2.")
    ] = None,
    top_k: Annotated[int | None, typer.Option(help="Instead: number of classes per image.")] = None,
    out: Out = None,
    overwrite: Overwrite = False,
    preview: Preview = 48,
    truth: Truth = None,
    device: Device = None,
) -> None:
    """Any classes, by cosine similarity with a prompt for each. Resumes after an interruption."""
    from fico.cli.dataset_option import DatasetOption
    from fico.cli.label import LabelOutput, label_zeroshot

    option, output = DatasetOption(dataset, root, split_key, splits), LabelOutput(out, overwrite, preview, truth, tell)
    path = label_zeroshot(
        option,
        output,
        model=model,
        classes=classes,
        template=template,
        threshold=threshold,
        top_k=top_k,
        device=device,
    )
    typer.echo(path)
