"""From values per query to a result: means, medians, intervals, bounds, chance and notes."""

from dataclasses import dataclass

import numpy as np

from fico.errors import DataError
from fico.evaluation.definitions import define
from fico.evaluation.result import DirectionState, EvaluationState, FoldState, PerQuery, RadiusCurve, RetrievalResult
from fico.metrics.bootstrap import Sample, percentile_intervals, replicates
from fico.metrics.chance import chance_median_rank, chance_values
from fico.metrics.options import EvaluationOptions
from fico.metrics.specification import RECALL_LEVELS, Direction, Task


@dataclass(slots=True, eq=False)
class _Table:
    """One task, direction and fold: the per-query values that enter the means."""

    task: Task
    direction: Direction
    rows: np.ndarray
    images: np.ndarray
    items: int
    right: np.ndarray
    valid: np.ndarray
    values: np.ndarray
    bounds: tuple[np.ndarray, np.ndarray] | None
    columns: tuple[str, ...]
    left_out: frozenset[str]


def summarise(state: EvaluationState) -> RetrievalResult:
    """Result of an evaluation, or of one process's share of it.

    Raises:
        DataError: A query without relevant item under ``empty="error"``, or no query at all.
    """
    settings = state.settings
    folds = [
        [_table(fold, direction, task, settings) for direction in fold.directions for task in settings.tasks
         if task in fold.directions[direction].block.tasks]
        for fold in state.folds
    ]  # fmt: skip
    result = RetrievalResult({}, {}, {}, {}, {}, (), _per_query(state, folds), _curves(state), state)
    drawn = [
        replicates([_sample(table) for table in tables], len(fold.image_rows), settings.bootstrap, (settings.seed, n))
        for n, (fold, tables) in enumerate(zip(state.folds, folds, strict=True))
    ]
    for n, tables in enumerate(zip(*folds, strict=True)):
        _add(result, tables, [fold[n] for fold in drawn], settings)
    notes = tuple(_notes(state, folds))
    return RetrievalResult(
        result.metrics, result.intervals, result.queries, result.definitions, result.tie_bounds, notes,
        result.per_query, result.curves, state,
    )  # fmt: skip


def _table(fold: FoldState, direction: Direction, task: Task, settings: EvaluationOptions) -> _Table:
    state = fold.directions[direction]
    found = state.block.tasks[task]
    right = found.right
    rows = np.arange(state.block.start, state.block.start + len(right))
    valid = right > 0 if task == "instance" or settings.empty == "skip" else np.ones(len(right), dtype=bool)
    if task == "category" and settings.empty == "error" and (right == 0).any():
        row = int(rows[right == 0][0])
        raise DataError(
            f"{direction} query {row} shares no label with any item ({int((right == 0).sum())} such queries); "
            "label it, or choose empty='zero' or 'skip'"
        )
    return _Table(
        task, direction, rows, state.images[rows], state.items, right, valid, found.values, found.bounds,
        settings.columns(task), _inapplicable(state, task, settings),
    )  # fmt: skip


def touched_least(state: DirectionState) -> int | None:
    """Fewest scored items of a query where most cells hold the fill value of a fused re-ranking, else None."""
    touched = state.block.touched
    if touched is None or len(touched) == 0 or 2 * touched.mean() > state.items:
        return None
    return int(touched.min())


def _inapplicable(state: DirectionState, task: Task, settings: EvaluationOptions) -> frozenset[str]:
    least = touched_least(state)
    if least is None or task == "instance":
        return frozenset()
    return frozenset(("mAP@N", *RECALL_LEVELS, *(f"mAP@{k}" for k in settings.map_at if k > least)))


def _sample(table: _Table) -> Sample:
    medians = (table.columns.index("rank"),) if table.task == "instance" else ()
    return Sample(table.values, table.valid, table.images, medians)


def _add(
    result: RetrievalResult,
    tables: tuple[_Table, ...],
    drawn: list[tuple[np.ndarray, np.ndarray]],
    settings: EvaluationOptions,
) -> None:
    """Adds the metrics of one task and direction, averaged over the folds."""
    task, direction = tables[0].task, tables[0].direction
    left_out = frozenset().union(*(table.left_out for table in tables))
    names = _names(tables[0])
    value = np.mean([_metrics(t, t.values, settings) for t in tables], axis=0).tolist()
    chance = np.mean([_chance(t, settings) for t in tables], axis=0).tolist()
    draws = np.mean([_with_median(t, *d, settings) for t, d in zip(tables, drawn, strict=True)], axis=0)
    intervals = percentile_intervals(draws).tolist()
    bounds = _tie_bounds(tables, settings)
    queries = sum(int(table.valid.sum()) for table in tables)
    behind = f"{queries} queries" + (f"; mean of {len(tables)} folds" if len(tables) > 1 else "")
    for n, metric in enumerate(names):
        if metric in left_out:
            continue
        key, level = f"{task}/{direction}/{metric}", f"{task}/{direction}/chance/{metric}"
        meaning = define(task, metric, settings)
        result.metrics[key], result.metrics[level] = value[n], chance[n]
        result.intervals[key], result.intervals[level] = (intervals[n][0], intervals[n][1]), (chance[n], chance[n])
        result.queries[key] = result.queries[level] = queries
        result.definitions[key] = f"{meaning}; ties: {settings.ties}; {behind}"
        result.definitions[level] = f"mean over every order of the gallery of: {meaning}; {behind}"
        if bounds is not None:
            result.tie_bounds[key] = (float(bounds[0][n]), float(bounds[1][n]))


def _names(table: _Table) -> list[str]:
    """Names of the metrics; the column ``rank`` gives two."""
    return [name for column in table.columns for name in (("MedR", "MeanR") if column == "rank" else (column,))]


def _with_median(table: _Table, means: np.ndarray, medians: np.ndarray, settings: EvaluationOptions) -> np.ndarray:
    """Means with the medians of the column ``rank`` before its mean."""
    if table.task == "category":
        return means
    middle = np.floor(medians) if settings.median == "floor" else medians
    named: np.ndarray = np.insert(means, [table.columns.index("rank")], middle, axis=-1)
    return named


def _metrics(table: _Table, values: np.ndarray, settings: EvaluationOptions) -> np.ndarray:
    if not table.valid.any():
        return np.full(len(_names(table)), np.nan)
    known = values[table.valid]
    middle = np.median(known[:, [table.columns.index("rank")]], axis=0) if table.task == "instance" else np.empty(0)
    return _with_median(table, known.mean(axis=0), middle, settings)


def _tie_bounds(tables: tuple[_Table, ...], settings: EvaluationOptions) -> list[np.ndarray] | None:
    if all(table.bounds is None for table in tables):
        return None
    return [
        np.mean([_metrics(t, t.values if t.bounds is None else t.bounds[side], settings) for t in tables], axis=0)
        for side in (0, 1)
    ]


def _chance(table: _Table, settings: EvaluationOptions) -> np.ndarray:
    right, queries = np.unique(table.right[table.valid], return_counts=True)
    if len(right) == 0:
        return np.full(len(_names(table)), np.nan)
    means: np.ndarray = queries @ chance_values(table.task, right, table.items, settings) / queries.sum()
    if table.task == "category":
        return means
    middle = chance_median_rank(right, queries, table.items)
    return _with_median(table, means, np.array([middle]), settings)


def _per_query(state: EvaluationState, folds: list[list[_Table]]) -> dict[str, PerQuery]:
    found = {}
    for direction in state.folds[0].directions:
        tables = [[t for t in fold if t.direction == direction] for fold in folds]
        values = {}
        for several in zip(*tables, strict=True):
            for n, column in enumerate(several[0].columns):
                if not any(column in table.left_out for table in several):
                    parts = [np.where(table.valid, table.values[:, n], np.nan) for table in several]
                    values[f"{several[0].task}/{column}"] = np.concatenate(parts) if len(parts) > 1 else parts[0]
        rows = [_rows(fold, t[0]) for fold, t in zip(state.folds, tables, strict=True)]
        images = [fold.image_rows[t[0].images] for fold, t in zip(state.folds, tables, strict=True)]
        nothing = np.full(sum(map(len, rows)), np.nan)
        found[str(direction)] = PerQuery(
            np.concatenate(rows),
            np.concatenate(images),
            values.pop("instance/rank", nothing),
            {key.partition("@")[2]: v for key, v in values.items() if key.startswith("category/mAP@")},
            values,
        )
    return found


def _rows(fold: FoldState, table: _Table) -> np.ndarray:
    whole = fold.image_rows if table.direction == "i2t" else fold.text_rows
    return np.asarray(whole[table.rows])


def _curves(state: EvaluationState) -> dict[str, RadiusCurve]:
    curves = {}
    for direction in state.folds[0].directions:
        blocks = [fold.directions[direction].block for fold in state.folds]
        means = [b.curves.sum(axis=1) / max(b.queries, 1) for b in blocks if b.curves is not None]
        if means:
            precision, recall = np.mean(means, axis=0)
            curves[f"category/{direction}"] = RadiusCurve(np.arange(len(precision)), precision, recall)
    return curves


def _notes(state: EvaluationState, folds: list[list[_Table]]) -> list[str]:
    notes = []
    for several in zip(*folds, strict=True):
        table, empty = several[0], sum(int((t.right == 0).sum()) for t in several)
        total, name = sum(len(t.right) for t in several), f"{table.task} {table.direction}"
        if empty and table.task == "instance":
            notes.append(f"{empty} of {total} images have no caption and are no {table.direction} queries")
        elif empty:
            rule = "count 0" if state.settings.empty == "zero" else "are left out"
            notes.append(f"{name}: {empty} of {total} queries have no relevant item and {rule}")
        if table.left_out:
            notes.append(
                f"{name}: {', '.join(_short(table))} not applicable: most scores are the fill value of a re-ranking, "
                f"and behind the re-ranked items (at least {touched_least(state.folds[0].directions[table.direction])} "
                "a query) there is no order"
            )
        high = [k for k in state.settings.recall_at if k > table.items]
        if high and table.task == "instance":
            notes.append(f"{name}: {', '.join(f'R@{k}' for k in high)} reach beyond the gallery of {table.items}")
    return notes


def _short(table: _Table) -> list[str]:
    return [*sorted(m for m in table.left_out if m.startswith("mAP")), "PR"]
