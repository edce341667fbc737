"""The options by which a finished run was evaluated, to evaluate with the same definitions again."""

from typing import Any

from fico.embeddings.store import EmbeddingStore
from fico.errors import DataError
from fico.external.positives import further_positives
from fico.metrics.compose import build_metrics
from fico.report.results.schema import Results


def run_options(results: Results, store: EmbeddingStore) -> dict[str, Any]:
    """Labels, positives and options of a run by the keywords of `fico.evaluate`.

    Args:
        results: Of the run.
        store: Its embeddings.

    Returns:
        Without a hubness correction, for which a run would have to keep the bank of its training split, and on this
        machine's device in place of the run's.

    Raises:
        DataError: The config names no metrics or no similarity.
    """
    try:
        metric = dict(results.config["metric"])
        _ = results.config["model"]["similarity"]
    except (KeyError, TypeError) as error:
        raise DataError(f"the config of {results.name} has no {error}; it cannot be evaluated again") from error
    if metric.get("metrics") is not None:
        metric["metrics"] = build_metrics(metric["metrics"])
    positives = further_positives(metric.pop("positives", {}), store.image_ids, store.caption_ids, store.correspondence)
    return {
        "labels": store.labels,
        "positives": positives,
        **metric,
        "hubness_correction": None,
        "device": "auto",
    }
