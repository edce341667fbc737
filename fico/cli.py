"""The ``fico`` command. Only typer is imported here, so that ``--help`` answers at once; the work is done elsewhere."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from fico.errors import FicoError


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
    from fico.commands.evaluate import Sources, evaluate_files, evaluate_published

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
    from fico.commands.convert import convert as convert_file

    converted = convert_file(file, model, out, trust=trust, warn=lambda text: typer.echo(f"fico: {text}", err=True))
    typer.echo(
        f"wrote {converted.tensors} tensors ({converted.values:,} values) to {converted.path}; "
        f"use them with model={model} model.weights={converted.path}"
    )


@app.command()
def verify(run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")]) -> None:
    """Recompute the metrics of a run from its stored embeddings and say whether they are the same."""
    from fico.commands.verify import verify_run

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
def doctor() -> None:
    """What is installed, what clashes, and what is missing for which model. Exit code 1 if something will break."""
    from fico.commands.doctor import examine

    findings = examine(Path.cwd())
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        typer.echo(f"{finding.level:5}  {finding.subject:{width}}  {finding.text}")
    faults = sum(finding.level == "fault" for finding in findings)
    if faults:
        raise FicoError(f"{faults} of {len(findings)} checks found a fault; the lines above say what to do")
