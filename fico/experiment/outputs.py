"""What a finished run leaves in its folder; ``results.json`` comes last."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fico.datasets.base import RetrievalSplit
from fico.evaluation.result import RetrievalResult
from fico.experiment.checkpoint import weights_origin
from fico.experiment.datamodule import RetrievalDataModule
from fico.report.html.page import write_report
from fico.report.html.samples import exact_rank, matrix_rank, sample_queries
from fico.report.results.collect import collect_metrics, query_tables
from fico.report.results.schema import DataInfo, ModelInfo, Results, SearchRow, write_results
from fico.report.run_summary.summary import print_results
from fico.types import EncodedBatch
from fico.util.atomic import atomic_write
from fico.util.provenance import commit, hardware, versions


def write_config(folder: Path, config: DictConfig) -> None:
    """Write the resolved config, with the sizes that came from the data, before anything long starts."""
    with atomic_write(folder / "config.yaml") as temporary:
        temporary.write_text(OmegaConf.to_yaml(config, resolve=True), encoding="utf-8")


def write_outputs(
    folder: Path,
    config: DictConfig,
    data: RetrievalDataModule,
    callbacks: Mapping[str, Any],
    *,
    key: str,
    started: str,
    seconds: float,
) -> None:
    """Print the tables of a tested run, then write ``report.html``, the CSV files and ``results.json``.

    Args:
        folder: The run's folder.
        config: The composed config.
        data: The splits that were encoded, with their features.
        callbacks: By their names in the config: ``encoded``, ``scores`` and ``retrieval``, where configured
            ``efficiency`` and ``search``; they hold what they measured.
        key: Content key of the run.
        started: UTC time, ISO 8601.
        seconds: Wall-clock time of the run so far.

    Raises:
        FicoError: A metric is outside its range; nothing is written then.
    """
    result: RetrievalResult = callbacks["retrieval"].result
    embeddings: EncodedBatch = callbacks["encoded"].embeddings
    rows = callbacks["search"].rows if "search" in callbacks else []
    split = data.splits[data.test_split]
    scores = callbacks["scores"]
    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    results = Results(
        name=config.name,
        seed=config.seed,
        started=started,
        seconds=round(seconds, 3),
        commit=commit(),
        model=_model(plain["model"], embeddings),
        data=_data(split),
        metrics=collect_metrics(result, split.name),
        efficiency=_efficiency(callbacks, data, embeddings, plain["model"].get("bits")),
        search=tuple(SearchRow.from_mapping(row) for row in rows),
        versions=versions(),
        hardware=hardware(),
        config=plain,
        key=key,
        notes=(
            *(f"{side} features: {origin}" for side, origin in data.inputs.origin.items()),
            *(
                f"weights: {name} {digest}"
                for name, digest in (weights_origin(plain["model"]["weights"]) or {}).items()
            ),
            *([f"labels made by a model, not by people: {split.label_origin}"] if split.label_origin else []),
            *result.notes,
        ),
    )
    print_results(results)
    if scores.i2t is None:
        rank = exact_rank(embeddings.images, embeddings.texts, plain["model"]["similarity"])
    else:
        rank = matrix_rank(scores.i2t, scores.t2i)
    samples = sample_queries(rank, split, seed=config.seed)
    write_report(folder / "report.html", results, samples)
    write_results(folder, results, query_tables(result, split.image_ids, split.caption_ids))


def _model(model: dict[str, Any], embeddings: EncodedBatch) -> ModelInfo:
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


def _efficiency(
    callbacks: Mapping[str, Any], data: RetrievalDataModule, embeddings: EncodedBatch, bits: int | None
) -> dict[str, Any]:
    """Times and sizes; codes count eight bits a byte, and beside it one byte a bit, as the paper stores them."""
    split, inputs = data.splits[data.test_split], data.inputs
    items = (embeddings.images, embeddings.texts)
    values = sum(side.numel() for side in items)
    unpacked = values if bits else values * embeddings.images.element_size()
    features = len(split.image_ids) * inputs.bytes_per_image + len(split.caption_ids) * inputs.bytes_per_text
    states = [side for side in (embeddings.image_states, embeddings.text_states) if side is not None]
    if states:  # a re-ranker needs these of every item at query time, and nothing of its input
        features = sum(side.numel() * side.element_size() for side in states)
    sizes = {
        "embedding_bytes": values // 8 if bits else unpacked,
        "unpacked_embedding_bytes": unpacked,
        "feature_bytes": features,
    }
    measured = callbacks.get("efficiency")
    if measured is None:
        return sizes
    times = {
        "encode_seconds": measured.encode_seconds,
        "attention_seconds": callbacks["scores"].attention_seconds,
    }
    return times | sizes | {"peak_memory_bytes": measured.peak_memory_bytes}
