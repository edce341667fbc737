"""``fico features``: precomputed features, one file for each kind."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from fico.cli.commands.options import ALL, Dataset, Device, Overwrite, Root, SplitKey, Splits, tell

features_app = typer.Typer(no_args_is_help=True, help="Precompute the features that models read.")


@features_app.command()
def vgg19(
    dataset: Dataset,
    root: Root = None,
    split_key: SplitKey = "split",
    splits: Splits = ALL,
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
    from fico.cli.dataset_option import DatasetOption
    from fico.cli.features import make_vgg19

    option = DatasetOption(dataset, root, split_key, splits)
    path = make_vgg19(
        option, layer=layer, resize=resize, weights=weights, device=device, overwrite=overwrite, tell=tell
    )
    typer.echo(path)


@features_app.command()
def doc2vec(
    dataset: Dataset,
    root: Root = None,
    split_key: SplitKey = "split",
    splits: Splits = ALL,
    fit_on: Annotated[
        Literal["train", "all"], typer.Option(help="all: every caption, those of the test split included.")
    ] = "train",
    seed: Annotated[int, typer.Option(help="Seed of the fit.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Doc2Vec, 300 values per caption. Resumes after an interruption."""
    from fico.cli.dataset_option import DatasetOption
    from fico.cli.features import make_doc2vec

    option = DatasetOption(dataset, root, split_key, splits)
    typer.echo(make_doc2vec(option, fit_on=fit_on, seed=seed, overwrite=overwrite, tell=tell))


@features_app.command()
def regions(
    dataset: Dataset,
    sources: Annotated[
        list[Path], typer.Option("--from", metavar="PATH", help=".tsv, .npy, .h5 or a folder of .npz; several times.")
    ],
    root: Root = None,
    split_key: SplitKey = "split",
    splits: Splits = ALL,
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
    from fico.cli.dataset_option import DatasetOption
    from fico.cli.features import make_regions

    option = DatasetOption(dataset, root, split_key, splits)
    typer.echo(make_regions(option, sources=sources, ids_file=ids, ids_are=ids_are, overwrite=overwrite, tell=tell))


@features_app.command()
def bert(
    dataset: Dataset,
    root: Root = None,
    split_key: SplitKey = "split",
    splits: Splits = ALL,
    model: Annotated[str, typer.Option(metavar="DIR|NAME", help="Folder or hub name.")] = "bert-base-uncased",
    words: Annotated[int, typer.Option(help="Word pieces of a caption, [CLS] and [SEP] among them.")] = 32,
    half: Annotated[bool, typer.Option("--half", help="Store float16: half the size.")] = False,
    device: Device = None,
    overwrite: Overwrite = False,
) -> None:
    """States of a frozen BERT, which ADV reads at paper size. Resumes after an interruption."""
    from fico.cli.dataset_option import DatasetOption
    from fico.cli.features import make_bert

    option = DatasetOption(dataset, root, split_key, splits)
    typer.echo(make_bert(option, model=model, words=words, half=half, device=device, overwrite=overwrite, tell=tell))
