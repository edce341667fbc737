"""What a finished run leaves in its folder; ``results.json`` comes last, when the loggers are closed."""

import logging
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger

from fico.datasets.base import RetrievalSplit
from fico.errors import DataError
from fico.evaluation.result import RetrievalResult
from fico.experiment.config.resolvers import features_name
from fico.experiment.datamodule import RetrievalDataModule
from fico.experiment.folder import PAGE
from fico.experiment.loggers.finished import log_finished
from fico.report.html.diagnosis import diagnose
from fico.report.html.hubs import items_of, shown_hubs
from fico.report.html.page import write_report
from fico.report.html.pair_similarity import Score, embedded_pairs, scored_pairs
from fico.report.html.samples import QuerySample, Rank, exact_rank, matrix_rank, sample_queries
from fico.report.results.collect import collect_hubness, collect_metrics, query_tables
from fico.report.results.schema import DataInfo, ModelInfo, Results, SearchRow, results_text, write_values
from fico.report.run_summary.summary import print_results
from fico.run_context import RunContext
from fico.types import EncodedBatch
from fico.util.provenance import commit, hardware, versions
from fico.util.quiet import is_quiet

log = logging.getLogger(__name__)


def write_outputs(
    config: DictConfig,
    data: RetrievalDataModule,
    context: RunContext,
    efficiency: Mapping[str, Any],
    notes: Sequence[str],
    loggers: Sequence[Logger],
    *,
    key: str,
    started: str,
    seconds: float,
) -> str:
    """Print the tables of a tested run, write ``report.html`` and the CSV files, and tell the loggers.

    Args:
        config: The composed config.
        data: The splits that were encoded, with their features.
        context: The run's, whose ``outputs`` the test has filled.
        efficiency: Of `fico.experiment.efficiency.efficiency`.
        notes: On training and weights, and what was warned of.
        loggers: Open ones.
        key: Key of the run; see `fico.experiment.sweep.run_key`.
        started: UTC time, ISO 8601.
        seconds: Wall-clock time of the run so far.

    Returns:
        The text of ``results.json``, which is written last.

    Raises:
        FicoError: A metric is outside its range; nothing is written then.
        RuntimeError: No callback has evaluated the test.
    """
    outputs, split = context.outputs, data.splits[data.test_split]
    if outputs.result is None:
        raise RuntimeError("no callback has evaluated the test epoch")
    hubs = shown_hubs(outputs.result.hubness, items_of(split))
    samples, problems = _samples(context, split, config.seed)
    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    results = Results(
        name=str(config.name),
        seed=config.seed,
        started=started,
        seconds=round(seconds, 3),
        commit=commit(),
        model=_model(context.model, outputs.embeddings, _features_label(config)),
        data=_data(split),
        metrics=collect_metrics(outputs.result, split.name),
        hubness=collect_hubness(outputs.result),
        efficiency=dict(efficiency),
        search=tuple(SearchRow.from_mapping(row) for row in outputs.search_rows),
        versions=versions(),
        hardware=hardware(),
        config=plain,
        key=key,
        notes=tuple(dict.fromkeys((*_notes(context, data, outputs.result), *problems, *notes))),
    )
    if not is_quiet():
        print_results(results)
    try:
        write_report(
            context.folder / PAGE,
            results,
            samples,
            hubs,
            diagnosis=diagnose(outputs.result, split, _pair_scores(context), config.seed),
            history=outputs.history,
            command=shlex.join(["python", "run.py", *HydraConfig.get().overrides.task]),
        )
    except Exception as error:  # a page must never cost the metrics
        note = f"there is no report.html: {type(error).__name__}: {' '.join(str(error).split())}"
        log.warning(note)
        log.debug("the report", exc_info=error)
        results = replace(results, notes=(*results.notes, note))
    write_values(context.folder, results, query_tables(outputs.result, split.image_ids, split.caption_ids))
    text = results_text(results, context.folder)
    log_finished(loggers, results, text, samples, outputs.result.curves, context.folder)
    return text


def _samples(context: RunContext, split: RetrievalSplit, seed: int) -> tuple[list[QuerySample], tuple[str, ...]]:
    """Sample queries, or a note where embeddings cannot be searched: the metrics are not lost for that."""
    try:
        return sample_queries(_ranks(context), split, seed=seed), ()
    except DataError as error:
        return [], (f"the report has no sample queries: {error}",)


def _notes(context: RunContext, data: RetrievalDataModule, result: RetrievalResult) -> tuple[str, ...]:
    origin, split = context.origin, data.splits[data.test_split]
    return (
        *(f"{side} features: {features}" for side, features in origin["features"].items()),
        *(f"weights: {name} {digest}" for name, digest in (origin["weights"] or {}).items()),
        *([f"labels made by a model, not by people: {split.label_origin}"] if split.label_origin else []),
        *(note for each in data.splits.values() for note in each.notes),
        *result.notes,
    )


def _ranks(context: RunContext) -> Rank:
    """How the sample queries of the report are ranked: by scores where there are any, else by embeddings."""
    outputs = context.outputs
    if outputs.i2t is None or outputs.t2i is None:
        return exact_rank(outputs.embeddings.images, outputs.embeddings.texts, context.similarity)
    return matrix_rank(outputs.i2t, outputs.t2i)


def _pair_scores(context: RunContext) -> Score:
    """How pairs are scored for the diagnosis: by scores where there are any, else by embeddings."""
    outputs = context.outputs
    if outputs.i2t is not None:
        return scored_pairs(outputs.i2t)
    return embedded_pairs(outputs.embeddings.images, outputs.embeddings.texts, context.similarity)


def _features_label(config: DictConfig) -> str:
    """The chosen features; those of a network that may have seen the test are marked in every table."""
    return features_name(config) + (", exposed" if config.features.get("is_exposed") else "")


def _model(model: Mapping[str, Any], embeddings: EncodedBatch, features: str) -> ModelInfo:
    """Describe the model; chosen features stand with its name, as their runs are no seeds of the model on its own."""
    return ModelInfo(
        name=f"{model['name']}({features})" if features else model["name"],
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
