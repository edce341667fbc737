"""What chance reaches: the closed forms with the whole gallery as one tied block."""

import numpy as np
from jaxtyping import Float64, Int64

from fico.evaluation.options import EvaluationOptions
from fico.metrics.kernels import blocks
from fico.metrics.specification import kind_of


def chance_values(
    task: str, relevant: Int64[np.ndarray, " n"], items: int, options: EvaluationOptions
) -> Float64[np.ndarray, "n columns"]:
    """Mean of every per-query value over all orders of the gallery.

    Args:
        task: Which columns; see ``EvaluationOptions.columns``.
        relevant: Numbers of relevant items; 0 gives 0.
        items: Size of the gallery.
        options: Definitions; the tie rule has no effect.
    """
    out = np.zeros((len(relevant), len(options.columns(kind_of(task)))))
    above, tied, tables = np.zeros(1, np.int64), np.array([items]), blocks.tables(items)
    recall_cuts, is_fraction = np.array(options.recall_at), options.recall == "fraction"
    cuts, denominator = np.array([*(min(k, items) for k in options.map_at), items]), blocks.DENOMINATORS[options.ap]
    for count, row in zip(relevant.tolist(), out, strict=True):
        hits = np.array([count])
        if count and task != "category":  # not one kernel for both tasks, which would compile both
            blocks.instance_values(above, tied, hits, 1, count, recall_cuts, is_fraction, tables, row)
        elif count:
            blocks.category_values(above, tied, hits, 1, count, cuts, denominator, tables, row)
    return out


def chance_median_rank(relevant: Int64[np.ndarray, " n"], queries: Int64[np.ndarray, " n"], items: int) -> float:
    """Smallest rank within which half of all queries find their first relevant item, over all orders of the gallery.

    Args:
        relevant: Distinct numbers of relevant items, at least 1.
        queries: How many queries have each of them.
        items: Size of the gallery.
    """
    logs = blocks.tables(items)[1]

    def is_reached(rank: int) -> bool:
        rest = items - rank
        possible = rest >= relevant
        missed = logs[rest] - logs[np.where(possible, rest - relevant, 0)] - logs[items] + logs[items - relevant]
        found = 1 - np.where(possible, np.exp(missed), 0)
        return bool(found @ queries >= 0.5 * queries.sum() - 1e-9)

    low, high = 0, items
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_reached(middle) else (middle, high)
    return float(high)
