"""What a finished run leaves in its folder; ``results.json`` comes last."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fico.datasets.base import RetrievalSplit
from fico.evaluation.result import RetrievalResult
from fico.experiment.datamodule import RetrievalDataModule
from fico.report.html.page import write_report
from fico.report.html.samples import Rank, exact_rank, matrix_rank, sample_queries
from fico.report.results.collect import collect_metrics, query_tables
from fico.report.results.schema import DataInfo, ModelInfo, Results, SearchRow, write_results
from fico.report.run_summary.summary import print_results
from fico.run_context import RunContext
from fico.types import EncodedBatch
from fico.util.provenance import commit, hardware, versions

log = logging.getLogger(__name__)


def write_outputs(
    config: DictConfig,
    data: RetrievalDataModule,
    context: RunContext,
    efficiency: Mapping[str, Any],
    notes: Sequence[str],
    *,
    key: str,
    started: str,
    seconds: float,
) -> None:
    """Print the tables of a tested run, then write ``report.html``, the CSV files and ``results.json``.

    Args:
        config: The composed config.
        data: The splits that were encoded, with their features.
        context: The run's, whose ``outputs`` the test has filled.
        efficiency: Of `fico.experiment.efficiency.efficiency`.
        notes: On training and weights, and what was warned of.
        key: Key of the run; see `fico.experiment.sweep.run_key`.
        started: UTC time, ISO 8601.
        seconds: Wall-clock time of the run so far.

    Raises:
        FicoError: A metric is outside its range; nothing is written then.
        RuntimeError: No callback has evaluated the test.
    """
    outputs, split = context.outputs, data.splits[data.test_split]
    if outputs.result is None:
        raise RuntimeError("no callback has evaluated the test epoch")
    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    results = Results(
        name=config.name,
        seed=config.seed,
        started=started,
        seconds=round(seconds, 3),
        commit=commit(),
        model=_model(context.model, outputs.embeddings),
        data=_data(split),
        metrics=collect_metrics(outputs.result, split.name),
        efficiency=dict(efficiency),
        search=tuple(SearchRow.from_mapping(row) for row in outputs.search_rows),
        versions=versions(),
        hardware=hardware(),
        config=plain,
        key=key,
        notes=tuple(dict.fromkeys((*_notes(context, split, outputs.result), *notes))),
    )
    print_results(results)
    try:
        samples = sample_queries(_ranks(context), split, seed=config.seed)
        write_report(context.folder / "report.html", results, samples)
    except Exception as error:  # a page must never cost the metrics
        note = f"there is no report.html: {type(error).__name__}: {' '.join(str(error).split())}"
        log.warning(note)
        log.debug("the report", exc_info=error)
        results = replace(results, notes=(*results.notes, note))
    write_results(context.folder, results, query_tables(outputs.result, split.image_ids, split.caption_ids))


def _notes(context: RunContext, split: RetrievalSplit, result: RetrievalResult) -> tuple[str, ...]:
    origin = context.origin
    return (
        *(f"{side} features: {features}" for side, features in origin["features"].items()),
        *(f"weights: {name} {digest}" for name, digest in (origin["weights"] or {}).items()),
        *([f"labels made by a model, not by people: {split.label_origin}"] if split.label_origin else []),
        *result.notes,
    )


def _ranks(context: RunContext) -> Rank:
    """How the sample queries of the report are ranked: by scores where there are any, else by embeddings."""
    outputs = context.outputs
    if outputs.i2t is None or outputs.t2i is None:
        return exact_rank(outputs.embeddings.images, outputs.embeddings.texts, context.similarity)
    return matrix_rank(outputs.i2t, outputs.t2i)


def _model(model: Mapping[str, Any], embeddings: EncodedBatch) -> ModelInfo:
    return ModelInfo(
        name=model["name"],
        family=model["family"],
        size=model["size"],
        dim=embeddings.images.shape[-1],
        bits=model.get("bits"),
        dtype="bits" if model.get("bits") else str(embeddings.images.dtype).removeprefix("torch."),
        query_time_attention=model["query_time_attention"],
    )


def _data(split: RetrievalSplit) -> DataInfo:
    return DataInfo(
        name=split.dataset,
        split=split.name,
        images=len(split.image_ids),
        captions=len(split.caption_ids),
        labels=len(split.classes),
        fingerprint=split.fingerprint,
    )
