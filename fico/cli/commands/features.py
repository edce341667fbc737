"""``fico features``: precomputed features, one file for each kind."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from fico.cli.options import DatasetOptions, Device, Overwrite, report, with_groups

features_app = typer.Typer(no_args_is_help=True, help="Precompute the features that models read.")


@features_app.command()
@with_groups
def vgg19(
    data: DatasetOptions,
    layer: Annotated[
        Literal["fc7_pre_relu", "fc7_post_relu"], typer.Option(help="Before or after the ReLU.")
    ] = "fc7_pre_relu",
    resize: Annotated[
        Literal["squash224", "crop224", "caffe224"], typer.Option(help="How an image becomes 224 x 224.")
    ] = "squash224",
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="State dict. Default: torchvision's, downloaded on first use.")
    ] = None,
    device: Device = None,
    overwrite: Overwrite = False,
) -> None:
    """VGG-19 fc7, 4096 values per image; requires the extra gpu. Resumes after an interruption."""
    from fico.cli.features import make_vgg19

    path = make_vgg19(
        data.build(), layer=layer, resize=resize, weights=weights, device=device, overwrite=overwrite, report=report
    )
    typer.echo(path)


@features_app.command()
@with_groups
def lite0(
    data: DatasetOptions,
    kind: Annotated[
        Literal["global", "regions"], typer.Option(help="One vector per image, or one for each of 7 x 7 cells.")
    ] = "global",
    overwrite: Overwrite = False,
) -> None:
    """EfficientNet-Lite0, 1280 values per image or cell; requires the extra photographs. Resumes if interrupted."""
    from fico.cli.features import make_lite0

    typer.echo(make_lite0(data.build(), kind=kind, overwrite=overwrite, report=report))


@features_app.command()
@with_groups
def doc2vec(
    data: DatasetOptions,
    fit_on: Annotated[
        Literal["train", "all"], typer.Option(help="all: every caption, those of the test split included.")
    ] = "train",
    seed: Annotated[int, typer.Option(help="Seed of the fit.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Doc2Vec, 300 values per caption. Resumes after an interruption."""
    from fico.cli.features import make_doc2vec

    typer.echo(make_doc2vec(data.build(), fit_on=fit_on, seed=seed, overwrite=overwrite, report=report))


@features_app.command()
@with_groups
def regions(
    data: DatasetOptions,
    sources: Annotated[
        list[Path], typer.Option("--from", metavar="PATH", help=".tsv, .npy, .h5 or a folder of .npz; several times.")
    ],
    ids: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Ids of a .npy, one a line. Default: dev_ids.txt next to dev_ims.npy."),
    ] = None,
    ids_are: Annotated[
        Literal["image", "imgid"], typer.Option(help="What the ids are: the data set's own, or imgid of its JSON.")
    ] = "image",
    overwrite: Overwrite = False,
) -> None:
    """Region features exported by bottom-up attention. Resumes after an interruption."""
    from fico.cli.features import make_regions

    typer.echo(
        make_regions(data.build(), sources=sources, ids_file=ids, ids_are=ids_are, overwrite=overwrite, report=report)
    )


@features_app.command()
@with_groups
def bert(
    data: DatasetOptions,
    model: Annotated[str, typer.Option(metavar="DIR|NAME", help="Folder or hub name.")] = "bert-base-uncased",
    words: Annotated[int, typer.Option(help="Word pieces of a caption, [CLS] and [SEP] among them.")] = 32,
    half: Annotated[bool, typer.Option("--half", help="Store float16: half the size.")] = False,
    device: Device = None,
    overwrite: Overwrite = False,
) -> None:
    """States of a frozen BERT, which ADV reads at paper size. Resumes after an interruption."""
    from fico.cli.features import make_bert

    typer.echo(
        make_bert(data.build(), model=model, words=words, half=half, device=device, overwrite=overwrite, report=report)
    )
