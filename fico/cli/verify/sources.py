"""The metrics of results that stored no embeddings, from what they name: scores, TREC runs, the runs of a cascade."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from fico.bench.cascade.cascade import measure
from fico.bench.cascade.request import checked_request, read_depths
from fico.cli.ensemble import ensemble_outputs
from fico.cli.evaluate import Sources, read_outputs
from fico.errors import DataError, FicoError
from fico.evaluation.result import RetrievalResult
from fico.external.model_outputs import ModelOutputs, evaluate_outputs
from fico.report.results.identity import identity
from fico.report.results.schema import Results

_NUMBERS = ("bits", "captions_per_image")
_PATHS = ("run_i2t", "run_t2i", "qrels", "positives")


def evaluate_sources(folder: Path, results: Results) -> RetrievalResult:
    """Evaluate the named files again.

    Args:
        folder: Of the results, for messages.
        results: Of `fico evaluate`, `fico ensemble` or a cascade, whose ranker scores the candidates again.

    Raises:
        DataError: The results name none, or they are gone, were changed or cannot be read.
    """
    files: Mapping[str, Any] = results.config.get("files") or {}
    if not files or "results_data" in files:
        raise DataError(f"{folder} stores no embeddings and no scores, so its metrics cannot be recomputed; repeat it")
    try:
        if "screen" in files:
            return _cascade_again(files, results.config["model"])
        outputs = _outputs(files)
    except FicoError as error:
        raise DataError(
            f"{folder} stores no embeddings, and the files it was made from cannot be read again: {error}"
        ) from error
    return evaluate_outputs(outputs, {**results.config["metric"], "device": "auto"})


def _cascade_again(files: Mapping[str, Any], model: Mapping[str, Any]) -> RetrievalResult:
    index = None if model["index"] == "codes" else model["index"]
    request = checked_request(Path(files["screen"]), Path(files["rank"]), read_depths(model["k"]), index)
    for role, stage in (("screen", request.screen), ("rank", request.rank)):
        if identity(stage.results) != model[role]:
            raise DataError(f"{stage.folder} holds another run by now; repeat the cascade")
    (system,) = measure(request).cascades
    assert system.result is not None
    return system.result


def _outputs(files: Mapping[str, Any]) -> ModelOutputs:
    if "run 1" in files:
        return ensemble_outputs([Path(folder) for folder in files.values()])[1]
    known: dict[str, Any] = {field.name: files.get(field.name) for field in fields(Sources)}
    known |= {name: int(known[name]) for name in _NUMBERS if known[name] is not None}
    known |= {name: Path(known[name]) for name in _PATHS if known[name] is not None}
    return read_outputs(Sources(**known), "cosine")  # of scores the similarity has no effect
