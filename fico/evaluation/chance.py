"""What chance reaches: the closed forms with the whole gallery as one tied block."""

import numpy as np
from jaxtyping import Int64

from fico.evaluation.columns import TaskColumns
from fico.metrics.kernels import blocks


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
    fused = columns.fused
    values = np.zeros((len(relevant), fused.count(task)))
    above, tied, tables = np.zeros(1, np.int64), np.array([items]), blocks.tables(items)
    recall_cuts, is_fraction = np.array(fused.recall_at, dtype=np.int64), fused.recall == "fraction"
    cuts, denominator = np.array([*(min(k, items) for k in fused.map_at), items]), blocks.DENOMINATORS[fused.ap]
    for count, row in zip(relevant.tolist(), values, strict=True):
        hits = np.array([count])
        if count and task != "category":  # not one kernel for both tasks, which would compile both
            blocks.instance_values(above, tied, hits, 1, count, recall_cuts, is_fraction, tables, row)
        elif count:
            blocks.category_values(above, tied, hits, 1, count, cuts, denominator, tables, row)
    means = queries @ values / queries.sum()
    places = {metric: place for place, serves in enumerate(fused.metrics(task)) for metric in serves}
    return {
        metric.name: float(means[places[metric]])
        if metric in places and metric.summary == "mean"
        else metric.chance(relevant, queries, items)
        for metric in columns.metrics
        if not metric.label_distances
    }
