"""How often each item is among the first k of the queries: one pass over the scores, which sorts nothing."""

import numpy as np

from fico.metrics.hubness import UNIT
from fico.metrics.kernels.codes import distance_row
from fico.metrics.kernels.compiled import Ints, Scores, Words, kernel, subroutine

_STEP = 64  # scores that one vector loop compares with the lowest of the first k


@subroutine
def _insert(row: Scores, item: int, best: Ints, filled: int) -> None:
    """Puts an item behind those of the same or a higher score; the last one of a full list falls out."""
    position = filled
    while position > 0 and row[best[position - 1]] < row[item]:
        if position < len(best):
            best[position] = best[position - 1]
        position -= 1
    best[position] = item


@subroutine
def _first_items(row: Scores, best: Ints) -> int:
    """Items of the k highest scores, highest first, into ``best``; returns how many others tie with the last."""
    k, others = len(best), 0
    for item in range(k):
        _insert(row, item, best, item)
    for start in range(k, len(row), _STEP):
        stop, lowest, found = min(start + _STEP, len(row)), row[best[k - 1]], 0
        for item in range(start, stop):
            found += row[item] >= lowest
        if found == 0:
            continue
        for item in range(start, stop):
            lowest = row[best[k - 1]]
            if row[item] == lowest:
                others += 1
            elif row[item] > lowest:
                _insert(row, item, best, k)
                others = others + 1 if row[best[k - 1]] == lowest else 0
    return others


@subroutine
def _count_row(row: Scores, best: Ints, counts: Ints) -> None:
    """Adds an occurrence for each of the first k items; those that tie at the cut-off share what is left."""
    k = len(best)
    others = _first_items(row, best)
    lowest, above = row[best[k - 1]], 0
    while above < k and (others == 0 or row[best[above]] > lowest):
        counts[best[above]] += UNIT
        above += 1
    if others > 0:
        tied = k - above + others
        portion = ((k - above) * UNIT + tied // 2) // tied
        for item in range(len(row)):
            counts[item] += portion * (row[item] == lowest)


@kernel
def count_floats(scores: Scores, k: int, counts: Ints) -> None:
    """Adds the occurrences of every item among the first ``k`` of each row of scores, in units of ``UNIT``."""
    best = np.empty(k, np.int64)
    for q in range(len(scores)):
        _count_row(scores[q], best, counts)


@kernel
def count_codes(queries: Words, words: Words, bits: int, k: int, counts: Ints) -> None:
    """The same of codes: of queries (their words, ``queries words``) and items (``words items``)."""
    items = words.shape[1]
    distances, row, best = np.empty(items, np.uint16), np.empty(items, np.float32), np.empty(k, np.int64)
    for q in range(len(queries)):
        distance_row(queries[q], words, distances)
        for item in range(items):
            row[item] = bits - distances[item]
        _count_row(row, best, counts)
