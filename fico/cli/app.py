"""The ``fico`` command. Only typer is imported here, so that ``--help`` answers at once; the work is done elsewhere."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from fico.cli.features_app import features_app, label_app
from fico.errors import FicoError, UsageError


class OneSentence(TyperGroup):
    """Turns what the user can mend into one sentence on standard error and the right exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Runs a command; a FicoError ends it without a traceback."""
        try:
            return super().invoke(ctx)
        except FicoError as error:
            typer.echo(f"fico: {error}", err=True)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            typer.echo("fico: interrupted by SIGINT; nothing was finished", err=True)
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=OneSentence,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Fine-grained and coarse-grained image-text retrieval on one bench.",
)
app.add_typer(features_app, name="features")
app.add_typer(label_app, name="label")


@app.command()
def evaluate(
    images: Annotated[
        str | None, typer.Option(metavar="FILE[:KEY]", help="Image embeddings or codes, one row each.")
    ] = None,
    texts: Annotated[str | None, typer.Option(metavar="FILE[:KEY]", help="Caption embeddings or codes.")] = None,
    i2t: Annotated[str | None, typer.Option(metavar="FILE[:KEY]", help="Scores, images x captions.")] = None,
    t2i: Annotated[str | None, typer.Option(metavar="FILE[:KEY]", help="Scores, captions x images.")] = None,
    run_i2t: Annotated[Path | None, typer.Option(metavar="FILE", help="TREC run, images as queries.")] = None,
    run_t2i: Annotated[Path | None, typer.Option(metavar="FILE", help="TREC run, captions as queries.")] = None,
    qrels: Annotated[Path | None, typer.Option(metavar="FILE", help="TREC qrels, lines 'image 0 caption 1'.")] = None,
    results_data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The authors' published outputs: Tables 2, 3 and 4.")
    ] = None,
    pairs: Annotated[
        str | None, typer.Option(metavar="FILE[:KEY]", help="Image row of each caption: JSON list or array.")
    ] = None,
    captions_per_image: Annotated[
        int | None, typer.Option(help="Instead of --pairs: captions stand in groups of this size, in image order.")
    ] = None,
    labels: Annotated[str | None, typer.Option(metavar="FILE[:KEY]", help="Multi-hot, images x categories.")] = None,
    similarity: Annotated[
        Literal["cosine", "inner", "euclidean", "hamming"] | None,
        typer.Option(help="Default: cosine; hamming with --bits."),
    ] = None,
    bits: Annotated[int | None, typer.Option(help="Code length, where uint8 codes are packed.")] = None,
    layout: Annotated[
        Literal["rectangular", "square"],
        typer.Option(help="square: files repeat an image for each of its captions; copies are checked and dropped."),
    ] = "rectangular",
    square_gallery: Annotated[
        Literal["reduced", "as-published"],
        typer.Option(help="as-published: category t2i counts every copy of a square layout, as the authors did."),
    ] = "reduced",
    t2i_orientation: Annotated[
        Literal["captions-images", "images-captions"] | None,
        typer.Option(help="How the t2i scores are stored; they are never turned by guess. Default: captions-images."),
    ] = None,
    ties: Annotated[
        Literal["expected", "optimistic", "pessimistic", "index"], typer.Option(help="Order of equal scores.")
    ] = "expected",
    ap: Annotated[Literal["hits", "min_k_r", "r"], typer.Option(help="Denominator of AP@K.")] = "hits",
    empty: Annotated[
        Literal["zero", "skip", "error"], typer.Option(help="Category queries without a relevant item.")
    ] = "zero",
    recall: Annotated[Literal["any", "fraction"], typer.Option(help="R@K: any right item, or their fraction.")] = "any",
    median: Annotated[Literal["floor", "exact"], typer.Option(help="MedR.")] = "floor",
    folds: Annotated[int, typer.Option(min=1, help="Contiguous folds of the images, averaged; 5: COCO 1K.")] = 1,
    bootstrap: Annotated[int, typer.Option(min=1, help="Resamples of the 95 % intervals.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the resamples.")] = 0,
    memory_limit: Annotated[int, typer.Option(min=1, help="MiB beyond the inputs.")] = 512,
    name: Annotated[str, typer.Option(help="What to call the model in the results.")] = "embeddings",
    split: Annotated[str, typer.Option(help="Name in front of the metrics.")] = "test",
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write the files of a run here.")] = None,
    trec: Annotated[Path | None, typer.Option(metavar="DIR", help="Write TREC runs and qrels here.")] = None,
    trec_depth: Annotated[int, typer.Option(min=1, help="Items of each query in a TREC run.")] = 1000,
) -> None:
    """All metrics of your own embeddings, codes, scores or TREC runs, or of the authors' published outputs.

    Arrays are .npy, .npz, .safetensors, .mat (all versions) or .h5; FILE:KEY names one of several arrays.
    """
    from fico.cli.evaluate import Sources, evaluate_files, evaluate_published

    options = {
        "similarity": similarity or ("hamming" if bits else "cosine"),
        "ties": ties,
        "ap": ap,
        "empty": empty,
        "recall": recall,
        "median": median,
        "folds": folds,
        "bootstrap": bootstrap,
        "seed": seed,
        "memory_limit": memory_limit * 2**20,
    }
    sources = Sources(
        images,
        texts,
        i2t,
        t2i,
        run_i2t,
        run_t2i,
        qrels,
        pairs,
        captions_per_image,
        labels,
        bits,
        layout,
        t2i_orientation,
    )
    if results_data is not None:
        evaluate_published(results_data, sources, options, square_gallery, out)
    else:
        evaluate_files(sources, options, square_gallery, name=name, split=split, out=out, trec=trec, depth=trec_depth)


@app.command()
def convert(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Checkpoint that the authors of a model released.")],
    model: Annotated[str, typer.Option(metavar="NAME", help="Which model it is of: ucch, dadh, adv, vsrn, ...")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write. Default: beside it, as .safetensors.")
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Run the code that a pickle asks for. Only where you trust its source.")
    ] = False,
) -> None:
    """Write an authors' checkpoint as safetensors under our names, which model.weights takes."""
    from fico.cli.convert import convert as convert_file

    converted = convert_file(file, model, out, trust=trust, warn=lambda text: typer.echo(f"fico: {text}", err=True))
    typer.echo(
        f"wrote {converted.tensors} tensors ({converted.values:,} values) to {converted.path}; "
        f"use them with model={model} model.weights={converted.path}"
    )


@app.command()
def ensemble(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Finished runs of the same split.")],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write the files of a run here.")] = None,
) -> None:
    """All metrics of the mean of several runs' scores, as papers combine two models of a kind."""
    from fico.cli.ensemble import ensemble as evaluate_ensemble

    evaluate_ensemble(runs, out)


@app.command()
def verify(run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")]) -> None:
    """Recompute the metrics of a run from its stored embeddings and say whether they are the same."""
    from fico.cli.verify import verify_run

    count, differences = verify_run(run)
    for difference in differences:
        typer.echo(f"{difference.name}: stored {difference.stored}, recomputed {difference.found}")
    if differences:
        raise FicoError(
            f"{len(differences)} of {count} metrics of {run} do not follow from its embeddings; "
            "its files were changed, or another release wrote them"
        )
    typer.echo(f"all {count} metrics of {run} are the same when recomputed from its embeddings")


@app.command()
def report(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Runs, or folders with runs below them.")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to write. Default: report in the first folder.")
    ] = None,
) -> None:
    """Every table and figure of the paper that these runs can fill, as Markdown, LaTeX, CSV and HTML."""
    from fico.cli.report import report_runs

    folder, found, filled = report_runs(folders, out)
    for table in filled.tables:
        typer.echo(table.title)
    for caption in filled.captions.values():
        typer.echo(caption)
    for remark in (*filled.remarks, *(f"left out: {path}: {reason}" for path, reason in found.left_out)):
        typer.echo(f"fico: {remark}", err=True)
    typer.echo(folder / "report.html")


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Runs or sweeps; the first is the reference.")],
    every: Annotated[bool, typer.Option("--all", help="All metrics, not only the main ones.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write .md, .tex or .csv too.")] = None,
) -> None:
    """Runs side by side: differences, best in bold, seeds averaged, paired significance tests."""
    from fico.cli.compare import compare_runs, print_comparison, write_comparison

    table, left_out = compare_runs(runs, every=every)
    if out is not None:
        write_comparison(out, table)
    print_comparison(table, in_markdown=as_markdown)
    for path, reason in left_out:
        typer.echo(f"fico: left out: {path}: {reason}", err=True)


@app.command()
def growth(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run, which asks.")],
    distractors: Annotated[
        list[Path],
        typer.Option("--distractors", metavar="RUN", help="Run of the same model on other images; several times."),
    ],
    sizes: Annotated[
        str | None, typer.Option(metavar="N,N", help="Images of each gallery. Default: doubled again and again.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Order of the distractors.")] = 0,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where to write. Default: the run.")] = None,
) -> None:
    """R@K and cost while real distractors join the gallery: embeddings of other splits or other data sets."""
    from fico.cli.growth import FILES, grow_run, growth_table
    from fico.report.table.terminal import print_table

    wanted = None if sizes is None else [_number(size) for size in sizes.split(",")]
    grown = grow_run(run, distractors, sizes=wanted, seed=seed, out=out)
    print_table(growth_table(grown))
    typer.echo("\n".join(str(grown.folder / name) for name in FILES))


def _number(text: str) -> int:
    if not text.strip().isdigit():
        raise UsageError(f"--sizes holds {text!r}; give whole numbers with commas, such as 1000,5000")
    return int(text)


@app.command()
def doctor(
    dataset: Annotated[
        str | None, typer.Option(metavar="NAME", help="A data set to look into, such as flickr30k or karpathy.")
    ] = None,
    root: Annotated[Path | None, typer.Option(metavar="DIR", help="Its folder.")] = None,
    split_key: Annotated[
        str, typer.Option(metavar="KEY", help="Field of the JSON that names an image's split.")
    ] = "split",
    splits: Annotated[str, typer.Option(metavar="NAMES", help="Splits to look at, with commas.")] = "train,val,test",
    size: Annotated[Literal["tiny", "paper"] | None, typer.Option(help="Default: as the data set has it.")] = None,
) -> None:
    """What is installed, what clashes, and what is missing for which model. Exit code 1 if something will break."""
    from fico.cli.dataset_option import DatasetOption
    from fico.cli.doctor import examine

    if dataset is None and root is not None:
        raise UsageError("--root is the folder of a data set; give its --dataset too, karpathy for any folder")
    option = None if dataset is None else DatasetOption(dataset, root, split_key, splits)
    findings = examine(Path.cwd(), option, size)
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        text = finding.text.replace("\n", "\n" + " " * (width + 11))
        typer.echo(f"{finding.level:5}  {finding.subject:{width}}  {text}")
    faults = sum(finding.level == "fault" for finding in findings)
    if faults:
        raise FicoError(f"{faults} of {len(findings)} checks found a fault; the lines above say what to do")


@app.command()
def prepare(
    dataset: Annotated[str, typer.Argument(metavar="NAME", help="coco, flickr30k or flickr8k.")],
    root: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where it shall lie. Default: data/NAME, as dataset.root.")
    ] = None,
    annotations_only: Annotated[
        bool, typer.Option("--annotations-only", help="Captions, split and labels without images.")
    ] = False,
    keep_archives: Annotated[bool, typer.Option("--keep-archives", help="Keep them once they are unpacked.")] = False,
    mirror: Annotated[
        str | None, typer.Option(metavar="URL", help="A folder with the same archives, for the official servers.")
    ] = None,
) -> None:
    """Fetch a data set from its official servers, unpack it and check that it is whole.

    May be interrupted and repeated: it goes on from what is there. Where images need a licence, it says where to ask.
    """
    from fico.cli.prepare import prepare as prepare_dataset

    prepare_dataset(
        dataset,
        root or Path("data") / dataset,
        annotations_only=annotations_only,
        keep_archives=keep_archives,
        mirror=mirror,
        said=typer.echo,
    )


@app.command()
def split(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="With a Karpathy JSON or COCO's captions JSON.")],
    val: Annotated[float, typer.Option(min=0, max=1, help="Share of the images to validate on.")] = 0.1,
    test: Annotated[float, typer.Option(min=0, max=1, help="Share of the images to test on.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Another one gives other splits.")] = 0,
    key: Annotated[
        str, typer.Option(metavar="NAME", help="Field for the splits; give it as dataset.split_key.")
    ] = "split",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write here. Default: the JSON that was read, replaced whole.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a field that is there.")] = False,
) -> None:
    """Give a new data set splits in which every category has its share; the JSON records how they were made."""
    from fico.cli.split import split_dataset

    made = split_dataset(folder, val=val, test=test, seed=seed, key=key, out=out, is_forced=force)
    for name, (images, captions) in made.counts.items():
        typer.echo(f"{name}: {images:,} images, {captions:,} captions")
    if made.largest_gap is not None:
        typer.echo(f"a category's share in a split differs from that in all images by at most {made.largest_gap:.4f}")
    typer.echo(f"wrote {made.path} (fingerprint {made.fingerprint[:12]}); use it with dataset.split_key={key}")


data_app = typer.Typer(no_args_is_help=True, help="Look at a data set.")
app.add_typer(data_app, name="data")


@data_app.command("show")
def data_show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="shapes, coco, ..., or a folder in Karpathy form.")],
    root: Annotated[Path | None, typer.Option(metavar="DIR", help="Where a data set given by its name lies.")] = None,
    split: Annotated[str, typer.Option(help="The split of which samples are shown.")] = "test",
    samples: Annotated[int, typer.Option(min=0, help="Images to show.")] = 24,
    split_key: Annotated[str | None, typer.Option(metavar="KEY", help="Split field of a Karpathy JSON.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Default: NAME-data.html here.")] = None,
) -> None:
    """Write a page with sample images, captions, labels and the data set's numbers, what chance reaches among them."""
    from fico.cli.data_show import show

    options = {} if split_key is None else {"split_key": split_key}
    path, numbers = show(name, root, split=split, samples=samples, out=out, options=options)
    for found in numbers:
        labels = "" if found.density is None else f", relevance density {found.density:.4f}"
        typer.echo(f"{found.name}: {found.images:,} images, {found.captions:,} captions{labels}")
    typer.echo(f"wrote {path}")
