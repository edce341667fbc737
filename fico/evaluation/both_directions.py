"""Metrics of both directions together, from the metrics of a result and their bootstrap resamples."""

from collections.abc import Callable, Mapping
from itertools import product

import numpy as np
from jaxtyping import Float64

from fico.evaluation.options import EvaluationOptions
from fico.evaluation.result import RetrievalResult
from fico.metrics.bootstrap import percentile_intervals
from fico.metrics.metric import BothDirectionsMetric
from fico.metrics.specification import DIRECTIONS, TASKS, Direction, kind_of

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
    tasks = [task for task, direction in resampled if direction == "i2t" and (task, "t2i") in resampled]
    for task, metric in product(tasks, options.listed):
        if isinstance(metric, BothDirectionsMetric) and metric.task == kind_of(task):
            missing = _missing(metric, task, result)
            if missing:
                absent.append(f"{task} {metric.name} is left out: it needs {', '.join(missing)} of each direction")
            else:
                _add(result, metric, task, resampled, options)
    return absent


def _missing(metric: BothDirectionsMetric, task: str, result: RetrievalResult) -> list[str]:
    return [part for part in metric.parts if any(key not in result.metrics for key in _keys(task, part))]


def _keys(task: str, part: str) -> list[str]:
    return [f"{task}/{direction}/{part}" for direction in DIRECTIONS]


def _add(
    result: RetrievalResult, metric: BothDirectionsMetric, task: str, resampled: Resampled, options: EvaluationOptions
) -> None:
    key, level = f"{task}/{metric.name}", f"{task}/chance/{metric.name}"
    queries = sum(result.queries[part] for part in _keys(task, metric.parts[0]))
    meaning = metric.definition() + ("" if task in TASKS else f"; positives: {task}")
    result.described_by[key] = metric
    result.metrics[key] = _combined(metric, task, result.metrics)
    result.queries[key] = queries
    result.definitions[key] = f"{meaning}; ties: {options.ties}; {queries} queries"
    if options.bootstrap:
        draws = metric.combine(_parts(metric, lambda way, part: resampled[task, way][part]))
        result.intervals[key] = tuple(percentile_intervals(draws[:, None])[0].tolist())
    if any(part_key in result.tie_bounds for part in metric.parts for part_key in _keys(task, part)):
        bounds = [{**result.metrics, **{name: both[n] for name, both in result.tie_bounds.items()}} for n in (0, 1)]
        result.tie_bounds[key] = (_combined(metric, task, bounds[0]), _combined(metric, task, bounds[1]))
    expected = {name.replace("/chance/", "/"): value for name, value in result.metrics.items() if "/chance/" in name}
    if all(part_key in expected for part in metric.parts for part_key in _keys(task, part)):
        result.metrics[level] = chance = _combined(metric, task, expected)
        result.queries[level] = queries
        result.definitions[level] = f"mean over every order of the gallery of: {meaning}; {queries} queries"
        if options.bootstrap:
            result.intervals[level] = (chance, chance)


def _combined(metric: BothDirectionsMetric, task: str, values: Mapping[str, float]) -> float:
    """Of values by key."""
    return float(metric.combine(_parts(metric, lambda way, part: np.asarray(values[f"{task}/{way}/{part}"]))))


def _parts(metric: BothDirectionsMetric, value: Callable[[Direction, str], np.ndarray]) -> Parts:
    return {direction: {part: value(direction, part) for part in metric.parts} for direction in DIRECTIONS}
