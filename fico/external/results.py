"""Files of an evaluation of a model's outputs: those of a run, and runs and qrels in the TREC form."""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from fico.codes import HashCodes
from fico.embeddings.store import EmbeddingStore
from fico.evaluation.relevance import CategoryRetrieval, InstanceRetrieval
from fico.evaluation.result import RetrievalResult
from fico.external.model_outputs import ModelOutputs
from fico.formats.trec import write_qrels, write_run
from fico.metrics.specification import Direction
from fico.report.html.samples import Item, Rank, exact_rank, matrix_rank
from fico.report.results.collect import collect_hubness, collect_metrics, query_tables
from fico.report.results.per_query import DIRECTIONS
from fico.report.results.schema import DataInfo, ModelInfo, Results, write_results
from fico.util.provenance import commit, hardware, versions

_BLOCK = 64  # queries whose relevance is held at a time


def results_of(
    outputs: ModelOutputs,
    result: RetrievalResult,
    *,
    name: str,
    split: str,
    seconds: float,
    options: Mapping[str, Any],
    files: Mapping[str, str],
    data: str = "external data",
) -> Results:
    """The results of a run, for outputs that no run of ours made.

    Args:
        outputs: What was evaluated.
        result: Its evaluation.
        name: What to call the model.
        split: Name in front of the metrics.
        seconds: Wall-clock time of reading and evaluating.
        options: Options of the evaluation by name, kept in the config so that it can be repeated.
        files: Paths as the user gave them, by option.
        data: Name of the data set, where it is known.
    """
    similarity = None if outputs.images is None else outputs.similarity
    bits = _bits(outputs)
    arrays = (outputs.images, outputs.i2t, outputs.t2i)
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
            None if outputs.images is None else bits or outputs.images.shape[1],
            bits,
            "bits" if bits else dtype,
        ),  # fmt: skip
        data=DataInfo(
            name=data,
            split=split,
            images=outputs.image_count,
            captions=outputs.caption_count,
            labels=0 if outputs.labels is None else outputs.labels.shape[1],
            fingerprint=_fingerprint(outputs),
        ),
        metrics=collect_metrics(result, split),
        hubness=collect_hubness(result),
        efficiency={},
        search=(),
        versions=versions(),
        hardware=hardware(),
        config={"model": {"similarity": similarity, "bits": bits}, "metric": dict(options), "files": dict(files)},
        notes=result.notes,
    )


def write_outputs(folder: Path, outputs: ModelOutputs, result: RetrievalResult, results: Results) -> None:
    """Writes ``embeddings/`` (unless there are only scores), the report, the CSV files and, last, ``results.json``."""
    image_ids, caption_ids = _ids(outputs)
    if outputs.images is not None and outputs.texts is not None:
        bits = results.model.bits
        EmbeddingStore.write(
            folder / "embeddings",
            _unpacked(outputs.images, bits),
            _unpacked(outputs.texts, bits),
            image_ids=image_ids,
            caption_ids=caption_ids,
            correspondence=outputs.correspondence,
            origin={"model": results.name, "split": results.data.split, "files": results.config["files"]},
            bits=bits,
            labels=outputs.labels,
        )
    from fico.report.html.hubs import shown_hubs
    from fico.report.html.page import write_report  # the one step that takes packages of the extra `report`

    ids = {"image": image_ids, "text": caption_ids}
    hubs = shown_hubs(result.hubness, lambda side, row: Item(ids[side][row]))
    write_report(folder / "report.html", results, (), hubs)
    write_results(folder, results, query_tables(result, image_ids, caption_ids))


def write_trec(folder: Path, outputs: ModelOutputs, depth: int, tag: str) -> None:
    """Writes ``<direction>.run`` and ``<direction>.instance.qrels``, with labels ``<direction>.category.qrels`` too.

    Args:
        folder: Made if it is missing.
        outputs: What was evaluated.
        depth: Items listed for each query, or all if there are fewer.
        tag: Name of the run.
    """
    image_ids, caption_ids = _ids(outputs)
    instance = InstanceRetrieval(outputs.correspondence, outputs.image_count)
    tasks: dict[str, InstanceRetrieval | CategoryRetrieval] = {"instance": instance}
    if outputs.labels is not None:
        tasks["category"] = CategoryRetrieval(outputs.labels, instance)
    for direction, rank in _ranks(outputs, depth).items():
        queries, items = (image_ids, caption_ids) if direction == "i2t" else (caption_ids, image_ids)
        write_run(folder / f"{direction}.run", rank(direction, np.arange(len(queries))), queries, items, tag)
        for name, task in tasks.items():
            write_qrels(folder / f"{direction}.{name}.qrels", _relevant(task, direction, len(queries)), queries, items)


def _relevant(
    task: InstanceRetrieval | CategoryRetrieval, direction: Direction, queries: int
) -> Iterator[Bool[np.ndarray, " items"]]:
    """Relevance of all items to each query, in blocks of queries."""
    for start in range(0, queries, _BLOCK):
        yield from task.relevant(direction, start, start + _BLOCK)


def _ranks(outputs: ModelOutputs, depth: int) -> dict[Direction, Rank]:
    """How to rank in each direction that there is something of."""
    if outputs.images is not None and outputs.texts is not None:
        found = exact_rank(outputs.images, outputs.texts, outputs.similarity, outputs.bits, depth=depth)
        return dict.fromkeys(DIRECTIONS, found)
    ranks: dict[Direction, Rank] = {}
    if outputs.i2t is not None:
        ranks["i2t"] = matrix_rank(outputs.i2t, depth=depth)
    if outputs.t2i is not None:
        ranks["t2i"] = matrix_rank(outputs.t2i.T, depth=depth)
    return ranks


def _ids(outputs: ModelOutputs) -> tuple[tuple[str, ...], tuple[str, ...]]:
    images = tuple(f"image{row}" for row in range(outputs.image_count))
    return images, tuple(f"caption{row}" for row in range(outputs.caption_count))


def _bits(outputs: ModelOutputs) -> int | None:
    if outputs.images is None or outputs.similarity != "hamming":
        return None
    return outputs.bits or int(outputs.images.shape[1])


def _unpacked(side: np.ndarray, bits: int | None) -> np.ndarray:
    """Codes with a column per bit, as the store takes them."""
    if bits is None or side.shape[1] == bits:
        return side
    return HashCodes.from_packed(side, bits).to_bits()


def _fingerprint(outputs: ModelOutputs) -> str:
    digest = hashlib.sha256(outputs.correspondence.caption_to_image.tobytes())
    if outputs.correspondence.database is not None:
        digest.update(outputs.correspondence.database.tobytes())
    if outputs.labels is not None:
        digest.update(np.ascontiguousarray(outputs.labels).tobytes())
    return digest.hexdigest()
