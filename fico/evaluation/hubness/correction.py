"""The rows of a result that say what a hubness correction reaches; those without it stay as they are."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from fico.errors import UsageError
from fico.evaluation.hubness.dual_softmax import dual_softmax_rows
from fico.evaluation.hubness.nnn import nnn_rows
from fico.evaluation.options import EvaluationOptions
from fico.evaluation.result import PerQuery, RetrievalResult
from fico.metrics.bootstrap import ClusteredValues, percentile_intervals, replicates
from fico.similarity import Similarity
from fico.util.arrays import as_matrix, as_tensor

Bank = tuple[ArrayLike | Tensor, ArrayLike | Tensor]


def corrected_rows(
    images: Any, texts: Any, bank: Bank | None, similarity: Similarity, options: EvaluationOptions
) -> tuple[Tensor, Tensor]:
    """Embeddings whose inner products are the scores with the correction of the options.

    See `fico.evaluation.hubness.nnn.nnn_rows` and `fico.evaluation.hubness.dual_softmax.dual_softmax_rows`.

    Raises:
        UsageError: There is no bank, no instance task, or the similarity is neither ``cosine`` nor ``inner``.
    """
    if bank is None:
        raise UsageError(
            f"hubness_correction={options.hubness_correction!r} needs bank=, the images and captions of the training "
            "split"
        )
    check_tasks(options)
    sides, parts = (_tensor(images), _tensor(texts)), (_tensor(bank[0]), _tensor(bank[1]))
    if any(part.shape[1] != sides[0].shape[1] for part in parts):
        raise UsageError(
            f"the bank has embeddings of {parts[0].shape[1]} and {parts[1].shape[1]} dimensions, the images of "
            f"{sides[0].shape[1]}; give embeddings of the same model"
        )
    kind: Any = similarity
    if options.hubness_correction == "dual_softmax":
        return dual_softmax_rows(*sides, parts, similarity=kind, temperature=options.softmax_temperature)
    return nnn_rows(*sides, parts, similarity=kind, k=options.nnn_k, alpha=options.nnn_alpha)


def check_tasks(options: EvaluationOptions) -> None:
    """Refuses a correction of nothing.

    Raises:
        UsageError: The instance task is not evaluated.
    """
    if "instance" not in options.tasks:
        raise UsageError("hubness_correction corrects the instance task, which is not among tasks; add instance")


def _tensor(rows: Any) -> Tensor:
    matrix = as_matrix(rows, "embeddings")
    return matrix if isinstance(matrix, Tensor) else as_tensor(matrix)


def uncorrected_options(options: EvaluationOptions) -> EvaluationOptions:
    """Options with which the corrected rows are evaluated."""
    return replace(options, hubness_correction=None, tasks=("instance",))


def add_correction(result: RetrievalResult, corrected: RetrievalResult, options: EvaluationOptions) -> RetrievalResult:
    """A result with the instance metrics of a corrected one as rows of their own: ``nnn/i2t/R@1``.

    Args:
        result: Without correction.
        corrected: Of the corrected rows.
        options: Which correction.
    """
    name = str(options.hubness_correction)
    meaning = f"hubness corrected by {name} ({_parameters(options)}), bank: training split"

    def renamed(values: dict[str, Any]) -> dict[str, Any]:
        return {f"{name}/{key.partition('/')[2]}": value for key, value in values.items()}

    parts = ("metrics", "intervals", "queries", "tie_bounds", "described_by")
    merged: dict[str, Any] = {part: getattr(result, part) | renamed(getattr(corrected, part)) for part in parts}
    definitions = {key: f"{text}; {meaning}" for key, text in corrected.definitions.items()}
    merged["definitions"] = result.definitions | renamed(definitions)
    merged["per_query"] = {
        way: replace(of, values=of.values | _values(corrected.per_query[way], name))
        for way, of in result.per_query.items()
    }
    notes = [f"{name} {way}: {found}" for way, found in corrected.hubness.items()]
    has_gain = "instance/i2t/R@1" in result.metrics
    notes += [_gain(result, corrected, way, name, options) for way in result.per_query if has_gain]
    state = None if result.state is None else replace(result.state, corrected=corrected.state)
    return replace(result, **merged, notes=(*result.notes, *notes), state=state)


def _parameters(options: EvaluationOptions) -> str:
    if options.hubness_correction == "dual_softmax":
        return f"temperature={options.softmax_temperature:g}"
    return f"k={options.nnn_k}, alpha={options.nnn_alpha:g}"


def _values(of: PerQuery, name: str) -> dict[str, np.ndarray]:
    values = {f"{name}/{key.partition('/')[2]}": found for key, found in of.values.items()}
    return values | {f"{name}/rank": of.ranks}


def _gain(
    result: RetrievalResult, corrected: RetrievalResult, direction: str, name: str, options: EvaluationOptions
) -> str:
    """The difference of R@1 with its paired interval: both are resampled with the same images."""
    before, after = (each.per_query[direction].values["instance/R@1"] for each in (result, corrected))
    is_found = ~np.isnan(before)
    gains = (after - before)[:, None]
    images = result.per_query[direction].images
    text = f"{name} {direction}: R@1 {100 * gains[is_found].mean():+.1f} points"
    if not options.bootstrap:
        return text
    clustered = ClusteredValues(gains, is_found, images, ())
    draws = replicates([clustered], int(images.max()) + 1, options.bootstrap, (options.seed, 0))[0][0]
    low, high = percentile_intervals(draws)[0]
    return f"{text} (95 % interval, paired: {100 * low:+.1f} to {100 * high:+.1f})"
