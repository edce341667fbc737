"""Metrics of both directions together, from the metrics of a result and their bootstrap resamples."""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float64

from fico.evaluation.options import EvaluationOptions
from fico.evaluation.result import RetrievalResult
from fico.metrics.bootstrap import percentile_intervals
from fico.metrics.metric import BothDirectionsMetric
from fico.metrics.specification import DIRECTIONS, Direction

Resampled = Mapping[tuple[str, Direction], Mapping[str, Float64[np.ndarray, " resamples"]]]
Parts = dict[Direction, dict[str, np.ndarray]]


def add_both_directions(result: RetrievalResult, resampled: Resampled, options: EvaluationOptions) -> list[str]:
    """Adds the metrics of both directions to a result that has those of each.

    Args:
        result: Gets the metrics.
        resampled: Metrics by name in every bootstrap resample, which both directions share.
        options: List the metrics.

    Returns:
        A sentence for each metric whose parts were not evaluated.
    """
    absent = []
    for metric in options.listed:
        has_both = all((metric.task, direction) in resampled for direction in DIRECTIONS)
        if isinstance(metric, BothDirectionsMetric) and has_both:
            missing = _missing(metric, result)
            if missing:
                absent.append(
                    f"{metric.task} {metric.name} is left out: it needs {', '.join(missing)} of each direction"
                )
            else:
                _add(result, metric, resampled, options)
    return absent


def _missing(metric: BothDirectionsMetric, result: RetrievalResult) -> list[str]:
    return [part for part in metric.parts if any(key not in result.metrics for key in _keys(metric, part))]


def _keys(metric: BothDirectionsMetric, part: str) -> list[str]:
    return [f"{metric.task}/{direction}/{part}" for direction in DIRECTIONS]


def _add(
    result: RetrievalResult, metric: BothDirectionsMetric, resampled: Resampled, options: EvaluationOptions
) -> None:
    key, level = f"{metric.task}/{metric.name}", f"{metric.task}/chance/{metric.name}"
    queries = sum(result.queries[part] for part in _keys(metric, metric.parts[0]))
    result.described_by[key] = metric
    result.metrics[key] = _combined(metric, result.metrics)
    result.queries[key] = queries
    result.definitions[key] = f"{metric.definition()}; ties: {options.ties}; {queries} queries"
    if options.bootstrap:
        draws = metric.combine(_parts(metric, lambda way, part: resampled[metric.task, way][part]))
        result.intervals[key] = tuple(percentile_intervals(draws[:, None])[0].tolist())
    if any(part_key in result.tie_bounds for part in metric.parts for part_key in _keys(metric, part)):
        bounds = [{**result.metrics, **{name: both[n] for name, both in result.tie_bounds.items()}} for n in (0, 1)]
        result.tie_bounds[key] = (_combined(metric, bounds[0]), _combined(metric, bounds[1]))
    expected = {name.replace("/chance/", "/"): value for name, value in result.metrics.items() if "/chance/" in name}
    if all(part_key in expected for part in metric.parts for part_key in _keys(metric, part)):
        result.metrics[level] = chance = _combined(metric, expected)
        result.queries[level] = queries
        result.definitions[level] = f"mean over every order of the gallery of: {metric.definition()}; {queries} queries"
        if options.bootstrap:
            result.intervals[level] = (chance, chance)


def _combined(metric: BothDirectionsMetric, values: Mapping[str, float]) -> float:
    """Of values by key."""
    return float(metric.combine(_parts(metric, lambda way, part: np.asarray(values[f"{metric.task}/{way}/{part}"]))))


def _parts(metric: BothDirectionsMetric, value: Callable[[Direction, str], np.ndarray]) -> Parts:
    return {direction: {part: value(direction, part) for part in metric.parts} for direction in DIRECTIONS}
