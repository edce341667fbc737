"""Whether the numbers of a run follow from the embeddings it stored."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fico.cli.verify.sources import evaluate_sources
from fico.embeddings.manifest import read_manifest
from fico.embeddings.store import EmbeddingStore
from fico.errors import DataError
from fico.evaluation.evaluate import evaluate, evaluate_scores
from fico.evaluation.result import RetrievalResult
from fico.external.run_options import run_options
from fico.report.results.schema import Results, read_tested
from fico.report.results.stored_scores import stored_scores

TOLERANCE = 1e-9  # sums in another order differ in the last digits; a wrong rank differs by far more


@dataclass(frozen=True, slots=True)
class Difference:
    """A metric whose recomputed value differs; ``stored`` or ``found`` is None where only the other exists."""

    name: str
    stored: float | None
    found: float | None


def verify_run(folder: Path) -> tuple[int, list[Difference]]:
    """Evaluates the stored embeddings again, with the definitions of the run's config.

    Args:
        folder: A finished run with ``results.json`` and ``embeddings/``; of a pair scorer ``scores.npy`` too, of a
            re-ranker ``rerank.npy``.

    Returns:
        Number of metrics compared, and those that differ by more than 1e-9. Of a re-ranking by version 0.1 the metrics
        beyond its ``k`` candidates are not compared: they have no order there and are no longer given.

    Raises:
        DataError: The run did not finish, its embeddings are damaged, or its config names no similarity.
    """
    results = read_tested(folder, is_checked=False)
    recomputed = evaluate_again(folder, results)
    found = {f"{results.data.split}/{name}": value for name, value in recomputed.metrics.items()}
    stored = {name: metric.value for name, metric in results.metrics.items() if not _is_corrected(name, results)}
    if "metrics" not in results.config["metric"]:  # of a release that listed none: there are more by now
        found = {name: value for name, value in found.items() if name in stored}
    if results.config["model"].get("rerank") and results.versions.get("fico", "").startswith("0.1."):
        stored = {name: value for name, value in stored.items() if name in found}
    differences = [
        Difference(name, stored.get(name), found.get(name))
        for name in dict.fromkeys((*stored, *found))
        if name not in stored or name not in found or abs(stored[name] - found[name]) > TOLERANCE
    ]
    return len(stored), differences


def recomputed_from(folder: Path) -> str:
    """What the metrics of a run were recomputed from, in words that say what was not."""
    if not (folder / "embeddings").is_dir():
        return "the files that they were made from, as the run itself stored no embeddings"
    is_scored = len(read_manifest(folder / "embeddings")["images"]["shape"]) == 3
    if (folder / "rerank.npy").is_file():
        first = "scores.npy" if is_scored else "embeddings"
        return f"its {first} and the stored scores of their candidates, rerank.npy; the network was not run"
    return "its stored pair scores, scores.npy; the network was not run" if is_scored else "its embeddings"


def _is_corrected(name: str, results: Results) -> bool:
    correction = results.config["metric"].get("hubness_correction")
    return correction is not None and name.split("/")[1] == correction


def evaluate_again(folder: Path, results: Results, **changed: Any) -> RetrievalResult:
    """Evaluates what a run stored, by the options of its config and those that are ``changed``.

    Raises:
        DataError: The embeddings are damaged or, where options are changed, not there; the config names no similarity.
    """
    if not (folder / "embeddings").is_dir():
        if changed:
            raise DataError(f"{folder} has no embeddings to evaluate; give a run that stored them")
        return evaluate_sources(folder, results)
    store = EmbeddingStore.load(folder / "embeddings")
    shared = run_options(results, store) | changed
    model = results.config["model"]
    scores = stored_scores(folder, store, model)
    if scores is not None:
        return evaluate_scores(i2t=scores[0], t2i=scores[1], correspondence=store.correspondence, **shared)
    return evaluate(
        store.images, store.texts, store.correspondence, similarity=model["similarity"], bits=store.bits, **shared
    )
