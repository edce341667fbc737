"""The level that chance reaches: the closed forms with the whole gallery as one tied block."""

import numpy as np
from jaxtyping import Float64, Int64

from fico.metrics.kernels import blocks
from fico.metrics.options import EvaluationOptions
from fico.metrics.specification import Task

_DENOMINATORS = {"hits": blocks.HITS, "min_k_r": blocks.MIN_K_R, "r": blocks.R}


def chance_values(
    task: Task, right: Int64[np.ndarray, " n"], items: int, settings: EvaluationOptions
) -> Float64[np.ndarray, "n columns"]:
    """Mean of every per-query value over all orders of the gallery.

    Args:
        task: Which columns; see ``EvaluationOptions.columns``.
        right: Numbers of right items; 0 gives 0.
        items: Size of the gallery.
        settings: Definitions; the rule for ties plays no part.
    """
    out = np.empty((len(right), len(settings.columns(task))))
    blocks.chance_rows(
        right, items, int(task == "category"), np.array(settings.recall_at), settings.recall == "fraction",
        np.array([*(min(k, items) for k in settings.map_at), items]), _DENOMINATORS[settings.ap],
        blocks.tables(items), out,
    )  # fmt: skip
    return out


def chance_median_rank(right: Int64[np.ndarray, " n"], queries: Int64[np.ndarray, " n"], items: int) -> float:
    """Smallest rank within which half of all queries find their first right item, over all orders of the gallery.

    Args:
        right: Distinct numbers of right items, at least 1.
        queries: How many queries have each of them.
        items: Size of the gallery.
    """
    logs = blocks.tables(items)[1]

    def reached(rank: int) -> bool:
        rest = items - rank
        possible = rest >= right
        missed = logs[rest] - logs[np.where(possible, rest - right, 0)] - logs[items] + logs[items - right]
        found = 1 - np.where(possible, np.exp(missed), 0)
        return bool(found @ queries >= 0.5 * queries.sum() - 1e-9)

    low, high = 0, items
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return float(high)
