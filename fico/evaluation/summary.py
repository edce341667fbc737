"""From values per query to a result: means, medians, intervals, tie bounds and chance."""

import math
from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from fico.evaluation.both_directions import add_both_directions
from fico.evaluation.chance import chance_levels
from fico.evaluation.hubness.statistics import hubness_of
from fico.evaluation.notes import notes
from fico.evaluation.options import EvaluationOptions
from fico.evaluation.result import RadiusCurve, RetrievalResult
from fico.evaluation.state import EvaluationState
from fico.evaluation.task_queries import TaskQueries, task_queries, values_per_query
from fico.metrics.bootstrap import percentile_intervals, replicates
from fico.metrics.precision_recall import RadiusCurves
from fico.metrics.specification import TASKS, Direction

Draws = tuple[np.ndarray, np.ndarray]  # means and medians of the resamples


def summarise(state: EvaluationState) -> RetrievalResult:
    """Result of an evaluation, or of the shard of one process.

    Raises:
        DataError: A query without relevant item under ``empty="error"``.
    """
    options = state.options
    folds = [
        [task_queries(fold, direction, task, options) for direction, found in fold.directions.items()
         for task in found.block.tasks]
        for fold in state.folds
    ]  # fmt: skip
    result = RetrievalResult(
        {}, {}, {}, {}, {}, tuple(notes(state, folds)), values_per_query(state, folds), _curves(state), state=state
    )
    draws = [
        replicates([each.clustered() for each in queries], len(fold.image_rows), options.bootstrap, (options.seed, n))
        for n, (fold, queries) in enumerate(zip(state.folds, folds, strict=True))
    ]
    resampled: dict[tuple[str, Direction], dict[str, np.ndarray]] = {}
    for n, several in enumerate(zip(*folds, strict=True)):
        found = _resampled(several, [fold[n] for fold in draws])
        names = [metric.name for metric in several[0].columns.metrics]
        resampled[several[0].task, several[0].direction] = dict(zip(names, found.T, strict=True))
        _add(result, several, found, options)
    result.hubness.update(hubness_of(state))
    return replace(result, notes=(*result.notes, *add_both_directions(result, resampled, options)))


def _add(
    result: RetrievalResult,
    several: tuple[TaskQueries, ...],
    resampled: Float64[np.ndarray, "resamples metrics"],
    options: EvaluationOptions,
) -> None:
    """Adds the metrics of one task and direction, averaged over the folds."""
    task, direction = several[0].task, several[0].direction
    left_out = frozenset().union(*(queries.left_out for queries in several))
    values = np.mean([_metrics(each, each.values) for each in several], axis=0).tolist()
    chance = _chance(several)
    bounds = _tie_bounds(several)
    intervals = percentile_intervals(resampled).tolist() if options.bootstrap else []
    queries = sum(int(each.valid.sum()) for each in several)
    extent = f"{queries} queries" + (f"; mean of {len(several)} folds" if len(several) > 1 else "")
    for n, metric in enumerate(several[0].columns.metrics):
        if metric.name in left_out:
            continue
        key, level = f"{task}/{direction}/{metric.name}", f"{task}/{direction}/chance/{metric.name}"
        meaning = metric.definition() + ("" if task in TASKS else f"; positives: {task}")
        result.described_by[key] = metric
        result.metrics[key] = values[n]
        result.queries[key] = queries
        result.definitions[key] = f"{meaning}; ties: {options.ties}; {extent}"
        if options.bootstrap:
            result.intervals[key] = (intervals[n][0], intervals[n][1])
        if bounds is not None:
            result.tie_bounds[key] = (float(bounds[0][n]), float(bounds[1][n]))
        expected = chance[metric.name]
        if expected is None:
            continue
        result.metrics[level], result.queries[level] = expected, queries
        result.definitions[level] = f"mean over every order of the gallery of: {meaning}; {extent}"
        if options.bootstrap:
            result.intervals[level] = (expected, expected)


def _metrics(queries: TaskQueries, values: np.ndarray) -> np.ndarray:
    if not queries.valid.any():
        return np.full(len(queries.columns.metrics), np.nan)
    known = values[queries.valid]
    return queries.reported(known.mean(axis=0), np.median(known[:, list(queries.columns.medians)], axis=0))


def _resampled(several: tuple[TaskQueries, ...], draws: list[Draws]) -> Float64[np.ndarray, "resamples metrics"]:
    """The metrics in every bootstrap resample, the mean of the folds."""
    return np.asarray(np.mean([each.reported(*drawn) for each, drawn in zip(several, draws, strict=True)], axis=0))


def _tie_bounds(several: tuple[TaskQueries, ...]) -> list[np.ndarray] | None:
    if all(each.bounds is None for each in several):
        return None
    return [
        np.mean([_metrics(each, (each.bounds or (each.values,) * 2)[side]) for each in several], axis=0)
        for side in (0, 1)
    ]


def _chance(several: tuple[TaskQueries, ...]) -> dict[str, float | None]:
    """Level of chance of each metric, the mean of the folds."""
    levels: list[dict[str, float | None]] = []
    for queries in several:
        relevant, counts = np.unique(queries.relevant_counts[queries.valid], return_counts=True)
        if len(relevant) == 0:
            levels.append({metric.name: math.nan for metric in queries.columns.metrics})
        else:
            known = chance_levels(queries.columns, queries.task, relevant, counts, queries.items)
            levels.append(known | _chance_by_distance(queries))
    found: dict[str, float | None] = {}
    for name in levels[0]:
        values = [level[name] for level in levels]
        found[name] = None if None in values else float(np.mean(np.array(values, dtype=np.float64)))
    return found


def _chance_by_distance(queries: TaskQueries) -> dict[str, float | None]:
    columns, values = queries.columns, queries.values[queries.valid]
    return {m.name: float(values[:, columns.chance_index(m)].mean()) for m in columns.by_distance}


def _curves(state: EvaluationState) -> dict[str, RadiusCurve]:
    curves: dict[str, RadiusCurve] = {}
    if not any(isinstance(metric, RadiusCurves) for metric in state.options.listed):
        return curves
    for direction in state.folds[0].directions:
        blocks = [fold.directions[direction].block for fold in state.folds]
        means = [b.curves.sum(axis=1) / max(b.queries, 1) for b in blocks if b.curves is not None]
        if means:
            precision, recall = np.mean(means, axis=0)
            curves[f"category/{direction}"] = RadiusCurve(np.arange(len(precision)), precision, recall)
    return curves
