"""The Pareto frontier, and what one kind of index costs at the recall of another."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np


def dominated(gains: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """Points that another one beats or equals in everything, and beats in something.

    Args:
        gains: ``points n``: higher is better.
        costs: ``points m``: lower is better.

    Returns:
        ``points``, bool.
    """
    values = np.concatenate([gains, -costs], axis=1)
    no_worse = (values[:, None] >= values[None]).all(axis=2)  # row: the beater
    better = (values[:, None] > values[None]).any(axis=2)
    return np.asarray((no_worse & better).any(axis=0))


def mark_dominated(rows: Sequence[dict[str, Any]], k: int) -> None:
    """Sets ``is_dominated``: another row has no less of either recall, no more time or memory, and is better in one.

    Args:
        rows: Of the comparison, of queries of one modality.
        k: Items per query.
    """
    gains = np.array([[row["top1_in_k"][1], row["overlap_at_k"][k]] for row in rows])
    costs = np.array([[row["cpu_us"], row["index_bytes"]] for row in rows])
    for row, is_out in zip(rows, dominated(gains, costs), strict=True):
        row["is_dominated"] = bool(is_out)


def cost_at_recall(recalls: Sequence[float], costs: Sequence[float], recall: float) -> float | None:
    """What an index costs at a recall, between its measured search parameters.

    Only its non-dominated points count. Between two neighbours the logarithm of the cost
    is interpolated linearly; below the lowest recall it is the cost of the cheapest, above the highest there is none.

    Args:
        recalls: One for each of its search parameters.
        costs: Of the same, positive.
        recall: Where the cost is wanted.

    Returns:
        The cost, or None where no point reaches that recall.
    """
    left_out = dominated(np.array(recalls)[:, None], np.array(costs)[:, None])
    points = sorted({(r, c) for r, c, out in zip(recalls, costs, left_out, strict=True) if not out})
    if not points or recall > points[-1][0]:
        return None
    above = next(position for position, point in enumerate(points) if point[0] >= recall)
    if above == 0:
        return points[0][1]
    (low, cheap), (high, dear) = points[above - 1], points[above]
    weight = (recall - low) / (high - low)
    return math.exp((1 - weight) * math.log(cheap) + weight * math.log(dear))
