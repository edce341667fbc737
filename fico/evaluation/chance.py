"""What chance reaches: the closed forms with the whole gallery as one tied block."""

from functools import lru_cache

import numpy as np
from jaxtyping import Float64, Int64

from fico.evaluation.columns import FusedColumns, TaskColumns
from fico.evaluation.engines.fused_values import fused_values
from fico.evaluation.engines.kernel_outputs import category_values
from fico.metrics.kernels import blocks
from fico.metrics.kernels.average_precision import DENOMINATORS
from fico.metrics.kernels.orders import EXPECTED
from fico.metrics.metric import random_ranking
from fico.util.threads import one_torch_thread


def chance_levels(
    columns: TaskColumns,
    task: str,
    relevant: Int64[np.ndarray, " n"],
    queries: Int64[np.ndarray, " n"],
    items: int,
) -> dict[str, float | None]:
    """Mean of every metric of a task over all orders of the gallery, by its name; None where it is not known.

    Those of `TaskColumns.by_distance` are not among them: their levels are columns, because they differ by query.

    Args:
        columns: The task's columns.
        task: Which task.
        relevant: Distinct numbers of relevant items; 0 gives 0.
        queries: How many queries have each of them.
        items: Size of the gallery.
    """
    means = queries @ _levels(columns.fused, task, tuple(relevant.tolist()), items) / queries.sum()
    places = {metric: place for place, serves in enumerate(columns.fused.metrics(task)) for metric in serves}
    return {
        metric.name: float(means[places[metric]])
        if metric in places and metric.summary == "mean"
        else metric.chance(relevant, queries, items)
        for metric in columns.metrics
        if not metric.label_distances
    }


@lru_cache(maxsize=16)
def _levels(
    fused: FusedColumns, task: str, relevant: tuple[int, ...], items: int
) -> Float64[np.ndarray, "relevant columns"]:
    """Fused values for each number of relevant items; kept, because a loop evaluates the same split every epoch."""
    if task == "category":
        return _category_levels(fused, np.array(relevant, dtype=np.int64)[:, None], items)
    with one_torch_thread():
        values = fused_values(fused, task, [random_ranking(np.array(relevant), items)])[0]
    return values.nan_to_num(nan=0).numpy()


def _category_levels(
    fused: FusedColumns, relevant: Int64[np.ndarray, "relevant 1"], items: int
) -> Float64[np.ndarray, "relevant columns"]:
    """By the kernel for scores of few values, of which a random ranking has one."""
    cuts = np.array([*(min(k, items) for k in fused.map_at), items], dtype=np.int64)
    values = category_values(len(relevant), fused.count("category"))
    blocks.category_of_counts(
        np.full_like(relevant, items), relevant, cuts, DENOMINATORS[fused.ap], blocks.tables(items), values,
        np.zeros(len(relevant), dtype=np.bool_), np.zeros((2, 1)), np.empty((4, 1), dtype=np.int64),
    )  # fmt: skip
    return np.asarray(np.nan_to_num(values[EXPECTED], nan=0))
