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
    fused, answered = columns.fused, relevant > 0
    hits, values = relevant[answered], np.zeros((len(relevant), fused.count(task)))
    rows, tables = np.zeros((len(hits), values.shape[1])), blocks.tables(items)
    rankings = (np.arange(len(hits) + 1), np.zeros_like(hits), np.full_like(hits, items), hits)  # one block each
    if task != "category":
        recall_cuts = np.array(fused.recall_at, dtype=np.int64)
        blocks.instance_rankings(rankings, recall_cuts, fused.recall == "fraction", tables, rows)
    else:
        cuts = np.array([*(min(k, items) for k in fused.map_at), items])
        blocks.category_rankings(rankings, cuts, blocks.DENOMINATORS[fused.ap], tables, rows)
    values[answered] = rows
    means = queries @ values / queries.sum()
    places = {metric: place for place, serves in enumerate(fused.metrics(task)) for metric in serves}
    return {
        metric.name: float(means[places[metric]])
        if metric in places and metric.summary == "mean"
        else metric.chance(relevant, queries, items)
        for metric in columns.metrics
        if not metric.label_distances
    }
