"""What ``fico evaluate`` leaves in its folder: the files of a run, and runs and qrels in the TREC form."""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from fico.codes import HashCodes
from fico.embeddings.store import EmbeddingStore
from fico.evaluation.result import RetrievalResult
from fico.external.inputs import Given
from fico.formats.trec import write_qrels, write_run
from fico.metrics.specification import Direction
from fico.report.html.page import write_report
from fico.report.html.samples import Rank, exact_rank, matrix_rank
from fico.report.results.collect import collect_metrics, query_tables
from fico.report.results.per_query import DIRECTIONS
from fico.report.results.schema import DataInfo, ModelInfo, Results, write_results
from fico.util.provenance import commit, hardware, versions


def given_results(
    given: Given,
    result: RetrievalResult,
    *,
    name: str,
    split: str,
    seconds: float,
    options: Mapping[str, Any],
    files: Mapping[str, str],
    data: str = "given files",
) -> Results:
    """A results object for files that no run of ours made.

    Args:
        given: What was evaluated.
        result: Its evaluation.
        name: What to call the model.
        split: Name in front of the metrics.
        seconds: Wall-clock time of reading and evaluating.
        options: Arguments of the evaluation, kept in the config so that it can be repeated.
        files: Paths as the user gave them, by option.
        data: Name of the data set, where it is known.
    """
    options = dict(options)
    similarity = options.pop("similarity", None)
    bits = _bits(given, similarity)
    arrays = (given.images, given.i2t, given.t2i)
    dtype = next(str(array.dtype) for array in arrays if array is not None)
    return Results(
        name=name,
        seed=int(options.get("seed", 0)),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(seconds, 3),
        commit=commit(),
        model=ModelInfo(
            name,
            None,
            None,
            None if given.images is None else bits or given.images.shape[1],
            bits,
            "bits" if bits else dtype,
        ),  # fmt: skip
        data=DataInfo(
            name=data,
            split=split,
            images=given.image_count,
            captions=given.caption_count,
            labels=0 if given.labels is None else given.labels.shape[1],
            fingerprint=_fingerprint(given),
        ),
        metrics=collect_metrics(result, split),
        efficiency={},
        search=(),
        versions=versions(),
        hardware=hardware(),
        config={"model": {"similarity": similarity, "bits": bits}, "metric": options, "files": dict(files)},
        notes=result.notes,
    )


def write_given(folder: Path, given: Given, result: RetrievalResult, results: Results) -> None:
    """Writes ``report.html``, ``embeddings/`` (unless scores were given), the CSV files and ``results.json``, last."""
    image_ids, caption_ids = _ids(given)
    if given.images is not None and given.texts is not None:
        bits = results.model.bits
        EmbeddingStore.write(
            folder / "embeddings",
            _plain(given.images, bits),
            _plain(given.texts, bits),
            image_ids=image_ids,
            caption_ids=caption_ids,
            correspondence=given.correspondence,
            origin={"model": results.name, "split": results.data.split, "files": results.config["files"]},
            bits=bits,
            labels=given.labels,
        )
    write_report(folder / "report.html", results)
    write_results(folder, results, query_tables(result, image_ids, caption_ids))


def write_trec(folder: Path, given: Given, similarity: str, depth: int, tag: str) -> None:
    """Writes ``<direction>.run`` and ``<direction>.instance.qrels``, with labels ``<direction>.category.qrels`` too.

    Args:
        folder: Made if it is missing.
        given: What was evaluated.
        similarity: Measure of the embeddings; of no meaning for scores.
        depth: Items listed for each query, or all if there are fewer.
        tag: Name of the run.
    """
    ids = dict(zip(("image", "caption"), _ids(given), strict=True))
    images = given.correspondence.caption_to_image
    for direction, rank in _ranks(given, similarity, depth).items():
        queries, items = (ids["image"], ids["caption"]) if direction == "i2t" else (ids["caption"], ids["image"])
        owners = (np.arange(len(queries)), images) if direction == "i2t" else (images, np.arange(len(items)))
        write_run(folder / f"{direction}.run", rank(direction, np.arange(len(queries))), queries, items, tag)
        write_qrels(folder / f"{direction}.instance.qrels", _own(*owners), queries, items)
        if given.labels is not None:
            shared = _shared(given.labels, *owners)
            write_qrels(folder / f"{direction}.category.qrels", shared, queries, items)


def _ranks(given: Given, similarity: str, depth: int) -> dict[Direction, Rank]:
    """How to rank in each direction that something was given for."""
    if given.images is not None and given.texts is not None:
        # the evaluation before has checked the similarity
        found = exact_rank(given.images, given.texts, similarity, given.bits, depth=depth)  # type: ignore[arg-type]
        return dict.fromkeys(DIRECTIONS, found)
    scores: dict[Direction, np.ndarray | None] = {"i2t": given.i2t, "t2i": given.t2i}
    return {
        way: matrix_rank(matrix if way == "i2t" else matrix.T, depth=depth)
        for way, matrix in scores.items() if matrix is not None
    }  # fmt: skip


def _own(queries: np.ndarray, items: np.ndarray) -> Iterator[Bool[np.ndarray, " items"]]:
    return (np.asarray(items == image) for image in queries)


def _shared(
    labels: Bool[np.ndarray, "images classes"], queries: np.ndarray, items: np.ndarray
) -> Iterator[Bool[np.ndarray, " items"]]:
    return ((labels & labels[image]).any(axis=1)[items] for image in queries)


def _ids(given: Given) -> tuple[tuple[str, ...], tuple[str, ...]]:
    images = tuple(f"image{row}" for row in range(given.image_count))
    return images, tuple(f"caption{row}" for row in range(given.caption_count))


def _bits(given: Given, similarity: str | None) -> int | None:
    if given.images is None or similarity != "hamming":
        return None
    return given.bits or int(given.images.shape[1])


def _plain(side: np.ndarray, bits: int | None) -> np.ndarray:
    """Codes with a column per bit, as the store takes them."""
    if bits is None or side.shape[1] == bits:
        return side
    return HashCodes.from_packed(side, bits).to_bits()


def _fingerprint(given: Given) -> str:
    digest = hashlib.sha256(given.correspondence.caption_to_image.tobytes())
    if given.labels is not None:
        digest.update(np.ascontiguousarray(given.labels).tobytes())
    return digest.hexdigest()
