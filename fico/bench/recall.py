"""Recall of an index relative to exact search."""

from collections.abc import Sequence

import numpy as np


def recalls(
    found: np.ndarray, exact: np.ndarray, ks: Sequence[int], slack: float = 0.0
) -> tuple[dict[int, float], dict[int, float]]:
    """Both definitions of recall relative to exact search.

    An item counts as one of the exact k nearest where its score reaches that of rank k, so that the choice among
    ties, which hash codes have by the hundred, does not count.

    Args:
        found: Exact scores of the items that the index gave, ``queries`` by at least ``max(ks)``, higher
            is nearer; minus infinity where it gave none.
        exact: Scores of the exact nearest, of the same size, best first.
        ks: Cut-offs.
        slack: Rounding of the scores, in their unit.

    Returns:
        ``top1_in_k``: fraction of queries with the exact nearest item among the first k found (the R@k of the
        paper's Table 7); ``overlap_at_k``: mean fraction of the exact k nearest among the first k found.
    """
    top1 = {k: float((found[:, :k] >= exact[:, :1] - slack).any(axis=1).mean()) for k in ks}
    overlap = {k: float((found[:, :k] >= exact[:, k - 1 : k] - slack).mean()) for k in ks}
    return top1, overlap
