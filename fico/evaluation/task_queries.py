"""Values per query of one task, direction and fold, with the queries that count and the metrics that do not apply."""

from dataclasses import dataclass

import numpy as np

from fico.errors import DataError
from fico.evaluation.columns import RANK, TaskColumns, task_columns
from fico.evaluation.options import EvaluationOptions
from fico.evaluation.result import PerQuery
from fico.evaluation.state import DirectionState, EvaluationState, FoldState, TaskValues
from fico.metrics.bootstrap import ClusteredValues
from fico.metrics.specification import Direction


@dataclass(slots=True, eq=False)
class TaskQueries:
    """The evaluated queries of one task, direction and fold.

    Args:
        task: Which task.
        direction: Which direction.
        rows: Row of each query within the fold.
        images: Image row of each query within the fold.
        items: Size of the gallery.
        relevant_counts: Relevant items of each query.
        valid: Queries that enter the means.
        values: ``queries columns``, under the tie rule.
        bounds: The same in the pessimistic and in the optimistic order, or None without ties.
        columns: The columns, and the metrics that summarise them.
        left_out: Names of the metrics that do not apply.
    """

    task: str
    direction: Direction
    rows: np.ndarray
    images: np.ndarray
    items: int
    relevant_counts: np.ndarray
    valid: np.ndarray
    values: np.ndarray
    bounds: tuple[np.ndarray, np.ndarray] | None
    columns: TaskColumns
    left_out: frozenset[str]

    def clustered(self) -> ClusteredValues:
        """Values as the bootstrap takes them."""
        return ClusteredValues(self.values, self.valid, self.images, self.columns.medians)

    def reported(self, means: np.ndarray, medians: np.ndarray) -> np.ndarray:
        """Values of the metrics in their order, from the means of all columns and the medians of some; any shape."""
        found = []
        for metric, column in zip(self.columns.metrics, self.columns.metric_columns, strict=True):
            is_mean = metric.summary == "mean"
            values = means[..., column] if is_mean else medians[..., self.columns.medians.index(column)]
            found.append(metric.finish(np.asarray(values)))
        return np.stack(found, axis=-1) if found else np.empty((*means.shape[:-1], 0))


def task_queries(fold: FoldState, direction: Direction, task: str, options: EvaluationOptions) -> TaskQueries:
    """The queries of a task and direction in one fold.

    Raises:
        DataError: A query without relevant item under ``empty="error"``.
    """
    state = fold.directions[direction]
    found = state.block.tasks[task]
    counts = found.relevant_counts
    rows = np.arange(state.block.start, state.block.start + len(counts))
    valid = counts > 0 if task != "category" or options.empty == "skip" else np.ones(len(counts), dtype=bool)
    if task == "category" and options.empty == "error" and (counts == 0).any():
        row = int(rows[counts == 0][0])
        raise DataError(
            f"{direction} query {row} shares no label with any item ({int((counts == 0).sum())} such queries); "
            "label it, or choose empty='zero' or 'skip'"
        )
    columns = task_columns(options.listed, task)
    found = _without_order_beyond(state, task, found, columns)
    queries = TaskQueries(
        task, direction, rows, state.images[rows], state.items, counts, valid, found.values, found.bounds,
        columns, frozenset(),
    )  # fmt: skip
    queries.left_out = _inapplicable(state, queries)
    return queries


def fewest_scored(state: DirectionState) -> int | None:
    """Fewest scored items of a query where a re-ranking left its fill value in the other cells, else None.

    A re-ranking is recognised by most cells holding the fill value, or by as many of them in every row: a single score
    of -100 in a matrix of real scores is no fill.
    """
    scored = state.block.scored
    if scored is None or len(scored) == 0 or scored.min() == state.items:
        return None
    is_reranking = 2 * scored.mean() <= state.items or (scored.min() == scored.max() and scored.min() < state.items - 1)
    return int(scored.min()) if is_reranking else None


def _without_order_beyond(state: DirectionState, task: str, found: TaskValues, columns: TaskColumns) -> TaskValues:
    """Ranks beyond the re-ranked items become the one behind them: there is no order that could tell more."""
    scored = state.block.scored
    if task == "category" or fewest_scored(state) is None or scored is None:
        return found
    column = columns.names.index(RANK)

    def limited(values: np.ndarray) -> np.ndarray:
        values = values.copy()
        values[:, column] = np.minimum(values[:, column], scored + 1)
        return values

    bounds = None if found.bounds is None else (limited(found.bounds[0]), limited(found.bounds[1]))
    return TaskValues(found.relevant_counts, limited(found.values), bounds)


def _inapplicable(state: DirectionState, queries: TaskQueries) -> frozenset[str]:
    """After the re-ranked items there is no order, so metrics that depend on it do not apply."""
    least = fewest_scored(state)
    if least is None:
        return frozenset()
    ranks = None
    if queries.task != "category":
        ranks = queries.values[queries.valid, queries.columns.names.index(RANK)]
    return frozenset(m.name for m in queries.columns.metrics if not m.is_determined(least, ranks))


def values_per_query(state: EvaluationState, folds: list[list[TaskQueries]]) -> dict[str, PerQuery]:
    """Values of all folds by direction, in the order of the rows within each fold."""
    found = {}
    for direction in state.folds[0].directions:
        tasks = [[queries for queries in fold if queries.direction == direction] for fold in folds]
        values = {}
        for several in zip(*tasks, strict=True):
            for n, column in enumerate(several[0].columns.names):
                if not any(_is_left_out(n, queries) for queries in several):
                    parts = [np.where(queries.valid, queries.values[:, n], np.nan) for queries in several]
                    values[f"{several[0].task}/{column}"] = np.concatenate(parts) if len(parts) > 1 else parts[0]
        if "instance/rank" in values:
            values["instance/rank"] = _ranks_found(values["instance/rank"], state, direction)
        rows = [_rows(fold, queries[0]) for fold, queries in zip(state.folds, tasks, strict=True)]
        images = [
            np.where(queries[0].images < 0, -1, fold.image_rows[queries[0].images])
            for fold, queries in zip(state.folds, tasks, strict=True)
        ]
        missing = np.full(sum(map(len, rows)), np.nan)
        found[str(direction)] = PerQuery(
            np.concatenate(rows),
            np.concatenate(images),
            values.pop("instance/rank", missing),
            {key.partition("@")[2]: v for key, v in values.items() if key.startswith("category/mAP@")},
            values,
        )
    return found


def _is_left_out(column: int, queries: TaskQueries) -> bool:
    """Whether no metric that summarises a column applies; ranks are known as far as items were scored."""
    columns = queries.columns
    return columns.names[column] != RANK and queries.left_out.issuperset(columns.served(column))


def _ranks_found(ranks: np.ndarray, state: EvaluationState, direction: Direction) -> np.ndarray:
    """Ranks, NaN where no relevant item is among those that a re-ranking scored."""
    blocks = [fold.directions[direction] for fold in state.folds]
    if all(fewest_scored(block) is None for block in blocks):
        return ranks
    scored = np.concatenate([block.block.scored for block in blocks if block.block.scored is not None])
    return np.where(ranks > scored, np.nan, ranks)


def _rows(fold: FoldState, queries: TaskQueries) -> np.ndarray:
    whole = fold.image_rows if queries.direction == "i2t" else fold.text_rows
    return np.asarray(whole[queries.rows])
