"""How often each item is among the first k of the queries, from the k-th score of each."""

import numpy as np
from numpy.typing import NDArray

from fico.metrics.hubness import UNIT
from fico.metrics.kernels.compiled import Ints, Scores, kernel, subroutine

_STEP = 16  # scores that one vector instruction compares


@subroutine
def _count_reaching(row: Scores, start: int, lowest: float) -> int:
    """How many scores of a step are at least ``lowest``."""
    count = 0
    for n in range(_STEP):
        count += row[start + n] >= lowest
    return count


@subroutine
def _insert(score: float, best: Scores, filled: int) -> None:
    """Puts a score behind those that are not lower; the last one of a full list falls out."""
    position = filled
    while position > 0 and best[position - 1] < score:
        if position < len(best):
            best[position] = best[position - 1]
        position -= 1
    if position < len(best):
        best[position] = score


@kernel
def highest_scores(scores: Scores, k: int, lowest: Scores) -> None:
    """The ``k``-th highest score of each row, into ``lowest``; keys that were sorted anyway tell it faster."""
    best = np.empty(k, scores.dtype)
    for q in range(len(scores)):
        row = scores[q]
        for item in range(k):
            _insert(row[item], best, item)
        for start in range(k, len(row), _STEP):
            if start + _STEP <= len(row) and _count_reaching(row, start, best[k - 1]) == 0:
                continue
            for item in range(start, min(start + _STEP, len(row))):
                if row[item] > best[k - 1]:
                    _insert(row[item], best, k)
        lowest[q] = best[k - 1]


@kernel
def count_floats(scores: Scores, lowest: Scores, k: int, counts: Ints, tied: Ints) -> None:
    """Adds the occurrences of every item among the first ``k`` of each row of scores, in units of ``UNIT``.

    Items that tie with the ``lowest`` of the first k share what those above it leave; ``tied`` is working
    memory, as long as there are items.
    """
    for q in range(len(scores)):
        row, above, others = scores[q], 0, 0
        for start in range(0, len(row), _STEP):
            if start + _STEP <= len(row) and _count_reaching(row, start, lowest[q]) == 0:
                continue
            for item in range(start, min(start + _STEP, len(row))):
                if row[item] > lowest[q]:
                    counts[item] += UNIT
                    above += 1
                elif row[item] == lowest[q]:
                    tied[others] = item
                    others += 1
        portion = ((k - above) * UNIT + others // 2) // others
        for n in range(others):
            counts[tied[n]] += portion


@subroutine
def count_distances_row(distances: NDArray[np.uint16], at: Ints, k: int, counts: Ints) -> None:
    """The same of one row of Hamming distances, of which ``at[d]`` are d, so that no item is compared twice."""
    above, radius = 0, 0
    while above + at[radius] < k:
        above += at[radius]
        radius += 1
    tied = at[radius]
    portion = ((k - above) * UNIT + tied // 2) // tied
    for item in range(len(distances)):
        counts[item] += UNIT * (distances[item] < radius) + portion * (distances[item] == radius)
