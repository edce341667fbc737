"""The two ways of ``fico evaluate``: the outputs of a model, and the authors' published outputs."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fico.cli.database import OPTIONS, check_options, with_database
from fico.cli.metric_options import built
from fico.correspondence import Correspondence
from fico.errors import FicoError, UsageError
from fico.evaluation.result import RetrievalResult
from fico.external.model_outputs import (
    Layout,
    ModelOutputs,
    Orientation,
    SquareGallery,
    consecutive_captions,
    evaluate_outputs,
    oriented,
    reduce_square,
)
from fico.external.published_outputs import TITLES, Dataset, find_published, read_published
from fico.external.published_tables import published_tables
from fico.external.results import results_of, write_outputs, write_trec
from fico.formats.arrays import load_array, load_labels, load_pairs
from fico.formats.positives import load_positives
from fico.formats.sources import require_one_of_pairs
from fico.formats.trec import read_trec
from fico.report.run_summary.summary import print_results
from fico.report.table.terminal import console_of, print_table, print_text
from fico.similarity import Similarity

DATA_SETS = {"coco": "coco", "f30k": "flickr30k"}  # the collection's names -> ours


@dataclass(frozen=True, slots=True)
class Sources:
    """The options of ``fico evaluate`` that say where the input is and how it is laid out."""

    images: str | None
    texts: str | None
    i2t: str | None
    t2i: str | None
    run_i2t: Path | None
    run_t2i: Path | None
    qrels: Path | None
    pairs: str | None
    positives: Path | None
    captions_per_image: int | None
    labels: str | None
    bits: int | None
    layout: Layout
    t2i_orientation: Orientation | None
    database_images: str | None = None
    database_texts: str | None = None
    database_pairs: str | None = None
    database_labels: str | None = None

    def named(self, *names: str) -> dict[str, str]:
        """The options of these names that are set, as the user types them."""
        return {
            f"--{name.replace('_', '-')}": str(getattr(self, name)) for name in names if getattr(self, name) is not None
        }


def evaluate_files(
    sources: Sources,
    options: Mapping[str, Any],
    gallery: SquareGallery,
    *,
    name: str,
    split: str,
    out: Path | None,
    trec: Path | None,
    depth: int,
) -> None:
    """Reads, evaluates and prints; writes a run's files to ``out`` and TREC files to ``trec``, where set.

    Raises:
        UsageError: Sources or options do not go together, or TREC files are asked for with a database.
        DataError: A file is missing or broken, or the sources do not fit each other.
    """
    begin = time.perf_counter()
    if trec is not None and sources.named(*OPTIONS):
        raise UsageError("--trec writes runs of one set, whose sides search each other; leave it out, or the database")
    metric = {name: value for name, value in options.items() if name != "similarity"}
    outputs = read_outputs(sources, options["similarity"])
    result = evaluate_outputs(outputs, built(metric), gallery)
    seconds = time.perf_counter() - begin
    files = {key: str(value) for key, value in asdict(sources).items() if value is not None}
    results = results_of(outputs, result, name=name, split=split, seconds=seconds, options=metric, files=files)
    print_results(results)
    if trec is not None:
        write_trec(trec, outputs, depth, name)
    if out is not None:
        write_outputs(out, outputs, result, results)


def evaluate_published(
    folder: Path, sources: Sources, options: Mapping[str, Any], gallery: SquareGallery, out: Path | None
) -> None:
    """Prints Tables 2, 3 and 4 from the published outputs; writes each model's run files to ``out``, where set.

    A model whose files are broken is named at the end and does not keep the others from being printed.

    Raises:
        UsageError: Further sources or metrics were given, or the options do not fit the outputs.
        FicoError: Files of a model were broken, after all others were printed.
    """
    if extra := sources.named(
        "images", "texts", "i2t", "t2i", "run_i2t", "run_t2i", "qrels", "pairs", "positives", "labels",
        *OPTIONS,
    ):  # fmt: skip
        raise UsageError(f"--results-data brings its own files; leave out {', '.join(extra)}")
    if changed := [name for name in ("recall_at", "map_at", "metrics") if name in options]:
        raise UsageError(
            f"--results-data prints the tables of the papers, with their metrics; got {', '.join(changed)}; leave out "
            "--recall-at, --map-at and --metric"
        )
    metric = {name: value for name, value in options.items() if name != "similarity"}
    evaluated: dict[tuple[str, Dataset], RetrievalResult] = {}
    remarks, errors = [], []
    for model, dataset in find_published(folder):
        begin = time.perf_counter()
        try:
            found = read_published(folder, model, dataset, sources.t2i_orientation)
            result = evaluate_outputs(found.outputs, metric, gallery if found.outputs.is_square else "reduced")
        except UsageError:
            raise
        except FicoError as error:
            errors.append(f"{model} on {TITLES[dataset]}: {error}")
            continue
        evaluated[model, dataset] = result
        remarks += [f"{model}, {TITLES[dataset]}: {note}" for note in (*found.notes, *result.notes)]
        if out is not None:
            results = results_of(
                found.outputs,
                result,
                name=model,
                split="test",
                seconds=time.perf_counter() - begin,
                options=metric,
                files={"results_data": str(folder)},
                data=DATA_SETS[dataset],
            )
            write_outputs(out / f"{dataset}-{model}", found.outputs, result, results)
    for table in published_tables(evaluated):
        print_table(table)
    for remark in remarks:
        print_text(console_of(), remark)
    if errors:
        raise FicoError("; ".join(errors))


def read_outputs(sources: Sources, similarity: Similarity) -> ModelOutputs:
    """Reads embeddings, score matrices or TREC runs: exactly one of them.

    Raises:
        UsageError: None or several kinds of input, or an option that belongs to another kind.
        DataError: A file is missing or broken, or does not fit the others.
    """
    kinds = {
        "embeddings": sources.named("images", "texts"),
        "scores": sources.named("i2t", "t2i"),
        "runs": sources.named("run_i2t", "run_t2i"),
    }
    chosen = [kind for kind, found in kinds.items() if found]
    if len(chosen) != 1:
        got = ", ".join(option for found in kinds.values() for option in found) or "none of them"
        raise UsageError(f"give --images and --texts, or --i2t and --t2i, or --run-i2t and --run-t2i; got {got}")
    check_options(sources)
    if chosen == ["runs"]:
        return _from_runs(sources)
    if sources.qrels is not None:
        raise UsageError("--qrels belongs to TREC runs; name the pairs of embeddings or scores with --pairs")
    outputs = _from_scores(sources) if chosen == ["scores"] else _from_embeddings(sources, similarity)
    if sources.named(*OPTIONS):
        return with_database(outputs, sources, lambda found: _from_embeddings(found, similarity))
    return reduce_square(outputs) if sources.layout == "square" else outputs


def _from_embeddings(sources: Sources, similarity: Similarity) -> ModelOutputs:
    if sources.images is None or sources.texts is None:
        raise UsageError(f"got only {', '.join(sources.named('images', 'texts'))}; give both --images and --texts")
    if sources.t2i_orientation is not None:
        raise UsageError("--t2i-orientation belongs to score matrices; leave it out for embeddings")
    images = load_array(sources.images, prefer=("images",))
    texts = load_array(sources.texts, prefer=("texts",))
    if images.dtype.kind == texts.dtype.kind == "f" and images.dtype != texts.dtype:
        wider = np.promote_types(images.dtype, texts.dtype)  # no value changes, and the kernels take one precision
        images, texts = images.astype(wider, copy=False), texts.astype(wider, copy=False)
    return ModelOutputs(
        _pairs(sources, len(images), len(texts)),
        images=images,
        texts=texts,
        labels=_labels(sources),
        similarity=similarity,
        bits=sources.bits,
    )


def _from_scores(sources: Sources) -> ModelOutputs:
    if sources.bits is not None:
        raise UsageError("--bits belongs to codes; leave it out for score matrices")
    i2t = load_array(sources.i2t, prefer=("i2t",)) if sources.i2t else None
    t2i = load_array(sources.t2i, prefer=("t2i",)) if sources.t2i else None
    if t2i is not None and t2i.ndim == 2:
        t2i = oriented(t2i, sources.t2i_orientation or "captions-images")
    shape = i2t.shape if i2t is not None else t2i.shape[::-1] if t2i is not None else ()
    return ModelOutputs(_pairs(sources, shape[0], shape[-1]), i2t=i2t, t2i=t2i, labels=_labels(sources))


def _from_runs(sources: Sources) -> ModelOutputs:
    if extra := sources.named("pairs", "positives", "captions_per_image", "labels", "bits", "t2i_orientation"):
        raise UsageError(f"TREC runs take their pairs from --qrels; leave out {', '.join(extra)}")
    if sources.qrels is None:
        raise UsageError("TREC runs need --qrels, which says with lines 'image 0 caption 1' what belongs together")
    scores = read_trec(sources.run_i2t, sources.run_t2i, sources.qrels)
    return ModelOutputs(scores.correspondence, i2t=scores.i2t, t2i=scores.t2i)


def _pairs(sources: Sources, images: int, captions: int) -> Correspondence:
    if sources.positives is None:
        return _source_images(sources, images, captions)
    if sources.layout == "square":
        raise UsageError("--positives counts every image once; give it with --layout rectangular")
    named = {"pairs": sources.pairs, "captions_per_image": sources.captions_per_image}
    image_of = None if all(value is None for value in named.values()) else _source_images(sources, images, captions)
    return load_positives(
        sources.positives,
        [str(row) for row in range(images)],
        [str(row) for row in range(captions)],
        None if image_of is None else image_of.caption_to_image,
    )


def _source_images(sources: Sources, images: int, captions: int) -> Correspondence:
    require_one_of_pairs(sources.pairs, sources.captions_per_image)
    if sources.captions_per_image is not None:
        single = images if sources.layout == "rectangular" else None  # a square layout repeats each image
        return consecutive_captions(captions, sources.captions_per_image, single)
    return load_pairs(str(sources.pairs))


def _labels(sources: Sources) -> np.ndarray | None:
    return None if sources.labels is None else load_labels(sources.labels)
