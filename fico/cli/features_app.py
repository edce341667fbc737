"""The command lines of ``fico features`` and ``fico label``; only typer is imported here."""

from pathlib import Path
from typing import Annotated, Literal

import typer

features_app = typer.Typer(no_args_is_help=True, help="Make the features that the models read beside a data set.")
label_app = typer.Typer(no_args_is_help=True, help="Let a model give the images of a data set their categories.")

Dataset = Annotated[str, typer.Option(metavar="NAME", help="coco, flickr30k, flickr8k, karpathy or shapes.")]
Root = Annotated[Path | None, typer.Option(metavar="DIR", help="Its folder.")]
SplitKey = Annotated[str, typer.Option(metavar="KEY", help="Field of the JSON that names an image's split.")]
Splits = Annotated[str, typer.Option(metavar="NAMES", help="Splits to work through, with commas.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what other settings made.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, ...; default: what is there.")]
Out = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Label file. Default: labels.npz of the data set's folder.")
]
Preview = Annotated[int, typer.Option(min=0, help="Images on the page beside the label file; 0 writes none.")]
Truth = Annotated[Path | None, typer.Option(metavar="FILE", help="Label file to compare with: mAP, CF1, OF1.")]
ALL = "train,val,test"


def tell(text: str) -> None:
    """Say what is done, on standard error."""
    typer.echo(f"fico: {text}", err=True)


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
        Path | None, typer.Option(metavar="FILE", help="State dict. Default: torchvision's, which it fetches.")
    ] = None,
    device: Device = None,
    overwrite: Overwrite = False,
) -> None:
    """VGG-19 fc7, 4096 values an image; needs the extra gpu. A killed run goes on where it stopped."""
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
        Literal["train", "all"], typer.Option(help="all: the captions that are encoded too, the test's included.")
    ] = "train",
    seed: Annotated[int, typer.Option(help="Seed of the fit.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Doc2Vec, 300 values a caption. A killed run goes on where it stopped."""
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
        typer.Option(metavar="FILE", help="Ids of a .npy, one a line. Default: dev_ids.txt beside dev_ims.npy."),
    ] = None,
    ids_are: Annotated[
        Literal["image", "imgid"], typer.Option(help="What the ids are: the data set's own, or imgid of its JSON.")
    ] = "image",
    overwrite: Overwrite = False,
) -> None:
    """Region features that bottom-up attention exported. A killed run goes on where it stopped."""
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
    """States of a frozen BERT, which ADV reads at paper size. A killed run goes on where it stopped."""
    from fico.cli.dataset_option import DatasetOption
    from fico.cli.features import make_bert

    option = DatasetOption(dataset, root, split_key, splits)
    typer.echo(make_bert(option, model=model, words=words, half=half, device=device, overwrite=overwrite, tell=tell))


@label_app.command()
def q2l(
    dataset: Dataset,
    weights: Annotated[Path, typer.Option(metavar="FILE", help="checkpoint.pkl of the authors, or .safetensors.")],
    root: Root = None,
    split_key: SplitKey = "split",
    splits: Splits = ALL,
    config: Annotated[Path | None, typer.Option(metavar="JSON", help="config_new.json of the authors.")] = None,
    threshold: Annotated[float, typer.Option(help="A class is there from this probability on.")] = 0.5,
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
    """Query2Label: the 80 classes of COCO. A killed run goes on where it stopped."""
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
    template: Annotated[str, typer.Option(help="Sentence with {} for the class.")] = "a photo of a {}.",
    threshold: Annotated[
        float | None, typer.Option(help="Deviations above the mean of the class. Default 2, without --top-k.")
    ] = None,
    top_k: Annotated[int | None, typer.Option(help="Instead: so many classes for each image.")] = None,
    out: Out = None,
    overwrite: Overwrite = False,
    preview: Preview = 48,
    truth: Truth = None,
    device: Device = None,
) -> None:
    """Any classes, by the cosine with a sentence about each. A killed run goes on where it stopped."""
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
