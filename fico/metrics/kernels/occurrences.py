"""How often each item is among the first k of the queries: one or two passes over the scores, which sort nothing."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fico.metrics.hubness import UNIT
from fico.metrics.kernels.compiled import Ints, Scores, Words, kernel, subroutine

Row = NDArray[Any]  # of scores, or of numbers of equal bits
_STEP = 64  # scores that one vector loop compares at a time


@subroutine
def _any_reaches(row: Row, start: int, lowest: Row, flags: NDArray[np.uint8], words: Words) -> bool:
    """Whether any of the scores from ``start`` on is at least ``lowest[0]``; ``words`` view the flags."""
    for n in range(_STEP):
        flags[n] = row[start + n] >= lowest[0]
    found = words[0]
    for n in range(1, _STEP // 8):
        found |= words[n]
    return bool(found != 0)


@subroutine
def _insert(row: Row, item: int, best: Ints, filled: int) -> None:
    """Puts an item behind those of the same or a higher score; the last one of a full list falls out."""
    position = filled
    while position > 0 and row[best[position - 1]] < row[item]:
        if position < len(best):
            best[position] = best[position - 1]
        position -= 1
    best[position] = item


@subroutine
def _first_items(row: Row, best: Ints, lowest: Row, flags: NDArray[np.uint8], words: Words) -> int:
    """Items of the k highest scores, highest first, into ``best``; returns how many others tie with the last.

    ``lowest`` receives the score at the cut-off.
    """
    k, others = len(best), 0
    for item in range(k):
        _insert(row, item, best, item)
    lowest[0] = row[best[k - 1]]
    for start in range(k, len(row), _STEP):
        if start + _STEP <= len(row) and not _any_reaches(row, start, lowest, flags, words):
            continue
        for item in range(start, min(start + _STEP, len(row))):
            if row[item] == lowest[0]:
                others += 1
            elif row[item] > lowest[0]:
                before = row[best[k - 1]]
                _insert(row, item, best, k)
                lowest[0] = row[best[k - 1]]
                others = others + 1 if lowest[0] == before else 0
    return others


@subroutine
def _count_row(row: Row, best: Ints, lowest: Row, flags: NDArray[np.uint8], words: Words, counts: Ints) -> None:
    """Adds an occurrence for each of the first k items; those that tie at the cut-off share what is left."""
    k, above = len(best), 0
    others = _first_items(row, best, lowest, flags, words)
    while above < k and (others == 0 or row[best[above]] > lowest[0]):
        counts[best[above]] += UNIT
        above += 1
    if others == 0:
        return
    tied = k - above + others
    portion = ((k - above) * UNIT + tied // 2) // tied
    for start in range(0, len(row), _STEP):
        if start + _STEP <= len(row) and not _any_reaches(row, start, lowest, flags, words):
            continue
        for item in range(start, min(start + _STEP, len(row))):
            if row[item] == lowest[0]:
                counts[item] += portion


@kernel
def count_floats(scores: Scores, k: int, counts: Ints) -> None:
    """Adds the occurrences of every item among the first ``k`` of each row of scores, in units of ``UNIT``."""
    best, lowest, flags = np.empty(k, np.int64), np.empty(1, scores.dtype), np.zeros(_STEP, np.uint8)
    words = flags.view(np.uint64)
    for q in range(len(scores)):
        _count_row(scores[q], best, lowest, flags, words, counts)


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
