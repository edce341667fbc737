"""What chance reaches: the closed forms with the whole gallery as one tied block."""

from functools import lru_cache

import numpy as np
from jaxtyping import Float64, Int64

from fico.evaluation.columns import FusedColumns, TaskColumns
from fico.evaluation.engines.fused_values import fused_values
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
    with one_torch_thread():
        values = fused_values(fused, task, [random_ranking(np.array(relevant), items)])[0]
    return values.nan_to_num(nan=0).numpy()
