"""A run's retrieval results in mteb's layout: ``<model>/<revision>/<task>.json`` and ``model_meta.json``."""

import json
import re
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from fico.errors import UsageError
from fico.evaluation.result import RetrievalResult
from fico.metrics.average_precision import AveragePrecision
from fico.metrics.ndcg import NDCG
from fico.metrics.precision_recall import Precision
from fico.metrics.recall import Recall
from fico.report.mteb.tasks import CUTS, WAYS, file_of, task_of
from fico.report.results.schema import Results
from fico.util.atomic import atomic_write

_SIMILARITY = {"cosine": "cosine", "inner": "dot"}  # ours -> theirs; they refuse any other name, and take null
_NAMES = {"ndcg": "nDCG", "map": "mAP", "precision": "P", "cv_recall": "R"}  # theirs -> ours
Evaluate = Callable[..., RetrievalResult]


def export_run(results: Results, evaluate: Evaluate, out: Path, *, language: str, overwrite: bool) -> list[Path]:
    """Writes both directions of a run at instance level.

    Args:
        results: Of the run.
        evaluate: Evaluates the run again with other options, as keywords of `fico.evaluate`.
        out: Folder in which that of the model is made.
        language: Of the captions, such as ``eng-Latn``.
        overwrite: Replace files that are there.

    Returns:
        The files.

    Raises:
        UsageError: The run has no instance metrics, or a file is there.

    Source:
        The JSON of mteb 2 (``mteb.results.TaskResult``) and of its repository of results. ``recall`` is the fraction
        of a query's relevant items, ``cv_recall`` and ``hit_rate`` what image-text retrieval calls R@K, ``map`` is
        divided by all relevant items.

    Differs:
        Equal scores rank by row, where mteb ranks them by id. ``mteb_version`` is null where the package is not
        installed, as it took no part. Not written: ``nauc_*``.
    """
    if results.metric("instance/i2t/R@1") is None and results.metric("instance/t2i/R@1") is None:
        raise UsageError(
            f"{results.name} has no instance metrics, which mteb's image-text tasks are about; export a run with "
            "metric=both"
        )
    shared: dict[str, Any] = {"tasks": ("instance",), "ties": "index", "bootstrap": 0, "folds": 1, "positives": {}}
    whole = evaluate(**shared, metrics=_metrics())
    fractions = evaluate(**shared, metrics=[Recall(k, "fraction") for k in CUTS])
    folder = out / _name(results).replace("/", "__") / _revision(results)
    task, files = task_of(results.data), {}
    for way in WAYS:
        if f"instance/{way}/nDCG@10" in whole.metrics:
            scores = _scores(way, whole, fractions)
            files[folder / file_of(task, way)] = _task(results, f"{task}{WAYS[way]}Retrieval", scores, language)
    files[folder / "model_meta.json"] = _model(results, language)
    if there := [path for path in files if path.exists() and not overwrite]:
        raise UsageError(f"{there[0]} is there already; add --overwrite, or choose another --out")
    for path, content in files.items():
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return list(files)


def _metrics() -> list[Any]:
    kinds = (lambda k: NDCG(k, "instance"), lambda k: AveragePrecision(k, "r", "instance"),
             lambda k: Precision(k, "instance"), lambda k: Recall(k, "any"))  # fmt: skip
    return [kind(k) for kind in kinds for k in CUTS]


def _scores(way: str, whole: RetrievalResult, fractions: RetrievalResult) -> dict[str, float]:
    """Scores by mteb's names; those that do not apply after a re-ranking are absent."""
    found: dict[str, float | None] = {}
    ranks = whole.per_query[way].ranks
    ranks = ranks[~np.isnan(ranks)]
    for k in CUTS:
        for theirs, ours in _NAMES.items():
            found[f"{theirs}_at_{k}"] = whole.metrics.get(f"instance/{way}/{ours}@{k}")
        found[f"hit_rate_at_{k}"] = found[f"cv_recall_at_{k}"]
        found[f"recall_at_{k}"] = fractions.metrics.get(f"instance/{way}/R@{k}")
        if found[f"cv_recall_at_{k}"] is not None:
            queries = whole.queries[f"instance/{way}/R@{k}"]
            found[f"mrr_at_{k}"] = float(np.where(ranks <= k, 1 / ranks, 0).sum()) / queries
    found["main_score"] = found["ndcg_at_10"]
    return {name: round(value, 6) for name, value in sorted(found.items()) if value is not None}


def _task(results: Results, name: str, scores: Mapping[str, float], language: str) -> dict[str, Any]:
    row = {**scores, "hf_subset": "default", "languages": [language]}
    return {
        "dataset_revision": results.data.fingerprint[:40],
        "task_name": name,
        "mteb_version": _mteb_version(),
        "scores": {results.data.split: [row]},
        "evaluation_time": results.seconds,
        "kg_co2_emissions": None,
    }


def _model(results: Results, language: str) -> dict[str, Any]:
    model, similarity = results.model, (results.config.get("model") or {}).get("similarity")
    unknown = (
        "release_date", "n_parameters", "memory_usage_mb", "max_tokens", "license", "open_weights",
        "public_training_code", "public_training_data", "reference", "training_datasets", "adapted_from",
        "superseded_by", "loader",
    )  # fmt: skip
    return {
        "name": _name(results),
        "revision": _revision(results),
        "languages": [language],
        "embed_dim": model.dim,
        "framework": ["PyTorch"],
        "similarity_fn_name": _SIMILARITY.get(str(similarity)),
        "use_instructions": False,
        "modalities": ["image", "text"],
        "model_type": ["cross-encoder" if model.query_time_attention else "dense"],
        **dict.fromkeys(unknown),
    }


def _name(results: Results) -> str:
    """Of the model, of which mteb makes the folder's name."""
    return f"fico/{re.sub(r'[^A-Za-z0-9._-]+', '-', results.name)}"


def _revision(results: Results) -> str:
    """Digest of the tested checkpoint or, where none was kept, the key of the run."""
    return (results.files.get("checkpoints/best.ckpt") or results.key or "no_revision_available")[:40]


def _mteb_version() -> str | None:
    try:
        return version("mteb")
    except PackageNotFoundError:
        return None
