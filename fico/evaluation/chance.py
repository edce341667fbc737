"""What chance reaches: the closed forms with the whole gallery as one tied block."""

import numpy as np
from jaxtyping import Int64

from fico.evaluation.columns import TaskColumns
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
    with one_torch_thread():
        values = fused_values(columns.fused, task, [random_ranking(relevant, items)])[0].nan_to_num(nan=0).numpy()
    means = queries @ values / queries.sum()
    places = {metric: place for place, serves in enumerate(columns.fused.metrics(task)) for metric in serves}
    return {
        metric.name: float(means[places[metric]])
        if metric in places and metric.summary == "mean"
        else metric.chance(relevant, queries, items)
        for metric in columns.metrics
        if not metric.label_distances
    }
