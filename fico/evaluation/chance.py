"""What chance reaches: the closed forms with the whole gallery as one tied block."""

import numpy as np
from jaxtyping import Int64

from fico.evaluation.columns import TaskColumns
from fico.metrics.kernels import blocks
from fico.metrics.specification import Task


def chance_levels(
    columns: TaskColumns,
    task: Task,
    relevant: Int64[np.ndarray, " n"],
    queries: Int64[np.ndarray, " n"],
    items: int,
) -> dict[str, float | None]:
    """Mean of every metric of a task over all orders of the gallery, by its name; None where it is not known.

    Args:
        columns: The task's columns.
        task: Which task.
        relevant: Distinct numbers of relevant items; 0 gives 0.
        queries: How many queries have each of them.
        items: Size of the gallery.
    """
    fused = columns.fused
    values = np.empty((len(relevant), fused.count(task)))
    blocks.chance_rows(
        relevant, items, int(task == "category"), np.array(fused.recall_at, dtype=np.int64), fused.recall == "fraction",
        np.array([*(min(k, items) for k in fused.map_at), items]), blocks.DENOMINATORS[fused.ap],
        blocks.tables(items), values,
    )  # fmt: skip
    means = queries @ values / queries.sum()
    places = {metric: place for place, serves in enumerate(fused.metrics(task)) for metric in serves}
    return {
        metric.name: float(means[places[metric]])
        if metric in places and metric.summary == "mean"
        else metric.chance(relevant, queries, items)
        for metric in columns.metrics
    }
