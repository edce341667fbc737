"""Whether the numbers of a run follow from the embeddings it stored."""

from dataclasses import dataclass
from pathlib import Path

from fico.embeddings.store import EmbeddingStore
from fico.errors import DataError
from fico.evaluation.evaluate import evaluate, evaluate_scores
from fico.formats.arrays import load_array
from fico.report.results.schema import read_tested
from fico.scoring.candidates import candidates

TOLERANCE = 1e-9  # sums in another order differ in the last digits; a wrong rank differs by far more


@dataclass(frozen=True, slots=True)
class Difference:
    """A metric that does not come out again; ``stored`` or ``found`` is None where only the other has it."""

    name: str
    stored: float | None
    found: float | None


def verify_run(folder: Path) -> tuple[int, list[Difference]]:
    """Evaluates the stored embeddings again, with the definitions of the run's config.

    Args:
        folder: A finished run with ``results.json`` and ``embeddings/``; of a pair scorer ``scores.npy`` too, of a
            re-ranker ``rerank.npy``.

    Returns:
        Number of metrics compared, and those that differ by more than 1e-9.

    Raises:
        DataError: The run did not finish, its embeddings are damaged, or its config names no similarity.
    """
    results = read_tested(folder)
    store = EmbeddingStore.load(folder / "embeddings")
    try:
        similarity = results.config["model"]["similarity"]
        metric = dict(results.config["metric"])
    except (KeyError, TypeError) as error:
        raise DataError(f"the config of {folder} has no {error}; it cannot be evaluated again") from error
    rerank = results.config["model"].get("rerank")
    scores = load_array(str(folder / "scores.npy")) if store.images.ndim == 3 else None  # of a pair scorer
    if rerank or scores is not None:
        i2t, t2i = (scores, scores.T) if scores is not None else (None, None)
        if rerank:
            first = candidates(store.images, store.texts, rerank["k"], scores)
            reranked = first.filled(load_array(str(folder / "rerank.npy"))[0], rerank["rule"])
            i2t, t2i = reranked.i2t, reranked.t2i
        result = evaluate_scores(i2t=i2t, t2i=t2i, correspondence=store.correspondence, labels=store.labels, **metric)
    else:
        result = evaluate(
            store.images,
            store.texts,
            store.correspondence,
            labels=store.labels,
            similarity=similarity,
            bits=store.bits,
            **metric,
        )
    found = {f"{results.data.split}/{name}": value for name, value in result.metrics.items()}
    stored = {name: metric.value for name, metric in results.metrics.items()}
    differences = [
        Difference(name, stored.get(name), found.get(name))
        for name in dict.fromkeys((*stored, *found))
        if name not in stored or name not in found or abs(stored[name] - found[name]) > TOLERANCE
    ]
    return len(stored), differences
