"""From values per query to a result: means, medians, intervals, tie bounds and chance."""

import numpy as np

from fico.evaluation.chance import chance_median_rank, chance_values
from fico.evaluation.definitions import define
from fico.evaluation.notes import notes
from fico.evaluation.options import EvaluationOptions
from fico.evaluation.result import RadiusCurve, RetrievalResult
from fico.evaluation.state import EvaluationState
from fico.evaluation.task_queries import TaskQueries, task_queries, values_per_query
from fico.metrics.bootstrap import percentile_intervals, replicates
from fico.metrics.specification import TASKS, kind_of

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
        {}, {}, {}, {}, {}, tuple(notes(state, folds)), values_per_query(state, folds), _curves(state), state
    )
    draws = [
        replicates([each.clustered() for each in queries], len(fold.image_rows), options.bootstrap, (options.seed, n))
        for n, (fold, queries) in enumerate(zip(state.folds, folds, strict=True))
    ]
    for n, several in enumerate(zip(*folds, strict=True)):
        _add(result, several, [fold[n] for fold in draws], options)
    return result


def _add(
    result: RetrievalResult, several: tuple[TaskQueries, ...], draws: list[Draws], options: EvaluationOptions
) -> None:
    """Adds the metrics of one task and direction, averaged over the folds."""
    task, direction = several[0].task, several[0].direction
    left_out = frozenset().union(*(queries.left_out for queries in several))
    values = np.mean([_metrics(each, each.values, options) for each in several], axis=0).tolist()
    chance = np.mean([_chance(each, options) for each in several], axis=0).tolist()
    intervals = _intervals(several, draws, options)
    bounds = _tie_bounds(several, options)
    queries = sum(int(each.valid.sum()) for each in several)
    extent = f"{queries} queries" + (f"; mean of {len(several)} folds" if len(several) > 1 else "")
    for n, metric in enumerate(_names(several[0])):
        if metric in left_out:
            continue
        key, level = f"{task}/{direction}/{metric}", f"{task}/{direction}/chance/{metric}"
        meaning = define(kind_of(task), metric, options) + ("" if task in TASKS else f"; positives: {task}")
        result.metrics[key], result.metrics[level] = values[n], chance[n]
        result.queries[key] = result.queries[level] = queries
        result.definitions[key] = f"{meaning}; ties: {options.ties}; {extent}"
        result.definitions[level] = f"mean over every order of the gallery of: {meaning}; {extent}"
        if intervals is not None:
            result.intervals[key] = (intervals[n][0], intervals[n][1])
            result.intervals[level] = (chance[n], chance[n])
        if bounds is not None:
            result.tie_bounds[key] = (float(bounds[0][n]), float(bounds[1][n]))


def _names(queries: TaskQueries) -> list[str]:
    """Names of the metrics; the column ``rank`` gives two."""
    return [name for column in queries.columns for name in (("MedR", "MeanR") if column == "rank" else (column,))]


def _with_median(
    queries: TaskQueries, means: np.ndarray, medians: np.ndarray, options: EvaluationOptions
) -> np.ndarray:
    """Means with the medians of the column ``rank`` before its mean."""
    if queries.task == "category":
        return means
    middle = np.floor(medians) if options.median == "floor" else medians
    named: np.ndarray = np.insert(means, [queries.columns.index("rank")], middle, axis=-1)
    return named


def _metrics(queries: TaskQueries, values: np.ndarray, options: EvaluationOptions) -> np.ndarray:
    if not queries.valid.any():
        return np.full(len(_names(queries)), np.nan)
    known = values[queries.valid]
    ranks = [queries.columns.index("rank")] if queries.task != "category" else []
    return _with_median(queries, known.mean(axis=0), np.median(known[:, ranks], axis=0), options)


def _intervals(
    several: tuple[TaskQueries, ...], draws: list[Draws], options: EvaluationOptions
) -> list[list[float]] | None:
    if options.bootstrap == 0:
        return None
    metrics = [_with_median(each, *drawn, options) for each, drawn in zip(several, draws, strict=True)]
    intervals: list[list[float]] = percentile_intervals(np.mean(metrics, axis=0)).tolist()
    return intervals


def _tie_bounds(several: tuple[TaskQueries, ...], options: EvaluationOptions) -> list[np.ndarray] | None:
    if all(each.bounds is None for each in several):
        return None
    return [
        np.mean([_metrics(each, (each.bounds or (each.values,) * 2)[side], options) for each in several], axis=0)
        for side in (0, 1)
    ]


def _chance(queries: TaskQueries, options: EvaluationOptions) -> np.ndarray:
    relevant, counts = np.unique(queries.relevant_counts[queries.valid], return_counts=True)
    if len(relevant) == 0:
        return np.full(len(_names(queries)), np.nan)
    means: np.ndarray = counts @ chance_values(queries.task, relevant, queries.items, options) / counts.sum()
    if queries.task == "category":
        return means
    middle = chance_median_rank(relevant, counts, queries.items)
    return _with_median(queries, means, np.array([middle]), options)


def _curves(state: EvaluationState) -> dict[str, RadiusCurve]:
    curves = {}
    for direction in state.folds[0].directions:
        blocks = [fold.directions[direction].block for fold in state.folds]
        means = [b.curves.sum(axis=1) / max(b.queries, 1) for b in blocks if b.curves is not None]
        if means:
            precision, recall = np.mean(means, axis=0)
            curves[f"category/{direction}"] = RadiusCurve(np.arange(len(precision)), precision, recall)
    return curves
