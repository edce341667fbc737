"""``fico evaluate``: metrics of files."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from fico.cli.options import Overwrite, check_new
from fico.formats.sources import array_file, require_one_of_pairs, split_source


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
    positives: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Several relevant images per caption: qrels, .csv, .json or .npz of pairs."),
    ] = None,
    captions_per_image: Annotated[
        int | None, typer.Option(help="Instead of --pairs: captions are in groups of this size, in image order.")
    ] = None,
    labels: Annotated[str | None, typer.Option(metavar="FILE[:KEY]", help="Multi-hot, images x categories.")] = None,
    database_images: Annotated[
        str | None, typer.Option(metavar="FILE[:KEY]", help="Images that --texts search, in place of --images.")
    ] = None,
    database_texts: Annotated[
        str | None, typer.Option(metavar="FILE[:KEY]", help="Captions that --images search, in place of --texts.")
    ] = None,
    database_labels: Annotated[
        str | None, typer.Option(metavar="FILE[:KEY]", help="Multi-hot, of the images of the database.")
    ] = None,
    database_pairs: Annotated[
        str | None,
        typer.Option(metavar="FILE[:KEY]", help="--pairs of the database, or --captions-per-image."),
    ] = None,
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
        typer.Option(help="How the t2i scores are stored; never guessed. Default: captions-images."),
    ] = None,
    ties: Annotated[
        Literal["expected", "optimistic", "pessimistic", "index"],
        typer.Option(help="Rank among equal scores."),
    ] = "expected",
    ap: Annotated[Literal["hits", "min_k_r", "r"], typer.Option(help="Denominator of AP@K.")] = "hits",
    empty: Annotated[
        Literal["zero", "skip", "error"], typer.Option(help="Category queries without a relevant item.")
    ] = "zero",
    recall: Annotated[
        Literal["any", "fraction"], typer.Option(help="R@K: any relevant item, or their fraction.")
    ] = "any",
    median: Annotated[Literal["floor", "exact"], typer.Option(help="MedR.")] = "floor",
    recall_cuts: Annotated[
        str | None, typer.Option("--recall-at", metavar="K,...", help="Cut-offs of R@K. Default: 1,5,10,50,100,200.")
    ] = None,
    map_cuts: Annotated[
        str | None, typer.Option("--map-at", metavar="K,...", help="Cut-offs of mAP@K. Default: 10,100.")
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(metavar="CLASS[:NAME=VALUE,...]", help="A further metric; may be given several times."),
    ] = None,
    folds: Annotated[int, typer.Option(min=1, help="Contiguous folds of the images, averaged; 5: COCO 1K.")] = 1,
    bootstrap: Annotated[int, typer.Option(min=0, help="Resamples of the 95 % intervals; 0: none.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the resamples.")] = 0,
    memory_limit: Annotated[int | None, typer.Option(min=1, help="MiB beyond the inputs; 512 if not given.")] = None,
    name: Annotated[str, typer.Option(help="Name of the model in the results.")] = "embeddings",
    split: Annotated[str, typer.Option(help="Name in front of the metrics.")] = "test",
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write the files of a run here.")] = None,
    overwrite: Overwrite = False,
    trec: Annotated[Path | None, typer.Option(metavar="DIR", help="Write TREC runs and qrels here.")] = None,
    trec_depth: Annotated[int, typer.Option(min=1, help="Items of each query in a TREC run.")] = 1000,
) -> None:
    """All metrics of your own embeddings, codes, scores or TREC runs, or of the authors' published outputs.

    Arrays are .npy, .npz, .safetensors, .mat (all versions) or .h5; FILE:KEY names one of several arrays.
    """
    from fico.cli.metric_options import further_options

    check_new(() if out is None else out.glob("*") if results_data else (out,), overwrite=overwrite)
    if images and texts and qrels is None:  # a missing file or option is reported before anything heavy is imported
        for source in (images, texts, labels):
            _ = source and array_file(str(source))
        for other in (pairs, positives, database_images, database_texts, database_labels, database_pairs):
            _ = other and split_source(str(other))
        if not any((positives, results_data, i2t, t2i, run_i2t, run_t2i)):
            require_one_of_pairs(pairs, captions_per_image)

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
        "memory_limit": memory_limit and memory_limit * 2**20,
    }
    options |= further_options(recall_cuts, map_cuts, metric or (), options, is_many=bool(positives or qrels))
    from fico.cli.evaluate import Sources, evaluate_files, evaluate_published  # loads torch: after what can be wrong

    sources = Sources(
        images,
        texts,
        i2t,
        t2i,
        run_i2t,
        run_t2i,
        qrels,
        pairs,
        positives,
        captions_per_image,
        labels,
        bits,
        layout,
        t2i_orientation,
        database_images,
        database_texts,
        database_pairs,
        database_labels,
    )
    if results_data is not None:
        evaluate_published(results_data, sources, options, square_gallery, out)
    else:
        evaluate_files(sources, options, square_gallery, name=name, split=split, out=out, trec=trec, depth=trec_depth)
