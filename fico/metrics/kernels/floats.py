"""Blocks of real scores: counting for the instance task, sorted keys for the category task."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fico.metrics.kernels.blocks import EXPECTED, OPTIMISTIC, PESSIMISTIC, copy_row, instance_values, reorder
from fico.metrics.kernels.compiled import (
    Ints,
    Outputs,
    Scores,
    Tables,
    kernel,
    subroutine,
)
from fico.metrics.kernels.hits import expected_values, find_mixed, pessimistic_values, untied_values


@subroutine
def _items_above(row: NDArray[Any], above: Ints) -> None:
    """Items above each relevant one, from ascending keys."""
    items, found = len(row), 0
    for position in range(items):
        above[found] = position
        found += row[items - 1 - position] & 1


@kernel
def category_rows(
    keys: NDArray[Any],
    relevant_counts: Ints,
    rule: int,
    cuts: Ints,
    denominator: int,
    tables: Tables,
    outputs: Outputs,
    mixed: NDArray[np.bool_],
) -> None:
    """Category values of each row of sorted keys, and their tie bounds where blocks are mixed."""
    values, low, high = outputs
    items = keys.shape[1]
    above, precisions, curve = np.empty(items + 1, np.int64), np.empty(items), np.empty(items)
    half = items // 2 + 1
    found = (np.empty(half, np.int64), np.empty(half, np.int64), np.empty(half, np.int64), np.empty(half, np.int64))
    for q in range(len(keys)):
        relevant = relevant_counts[q]
        _items_above(keys[q], above)
        untied_values(above, relevant, cuts, denominator, tables, precisions, high[q])
        count = find_mixed(keys[q], above, relevant, found)
        if count == 0:
            copy_row(high[q], values[q])
            copy_row(high[q], low[q])
            continue
        mixed[q] = True
        expected_values(above, relevant, found, count, cuts, denominator, tables, precisions, curve, values[q])
        pessimistic_values(above, relevant, found, count, cuts, denominator, tables, precisions, low[q])
        if rule != EXPECTED:
            copy_row(high[q] if rule == OPTIMISTIC else low[q], values[q])


@kernel
def count_above(row: Scores, score: float) -> tuple[int, int]:
    """Scores above and equal to one."""
    above, equal = 0, 0
    for j in range(len(row)):
        above += row[j] > score
        equal += row[j] == score
    return above, equal


@subroutine
def _descending(row: Scores, items: Ints, out: Scores) -> None:
    """Insertion sort of the scores of a few items."""
    for n in range(len(items)):
        score, position = row[items[n]], n
        while position > 0 and out[position - 1] < score:
            out[position] = out[position - 1]
            position -= 1
        out[position] = score


@kernel
def instance_rows(
    scores: Scores,
    start: Ints,
    positives: Ints,
    rule: int,
    cuts: Ints,
    fraction: bool,
    tables: Tables,
    outputs: Outputs,
    mixed: NDArray[np.bool_],
) -> None:
    """Instance values of each row, of which ``positives[start[q]:start[q + 1]]`` are relevant; others are counted."""
    values, low, high = outputs
    most = 1
    for q in range(len(scores)):
        most = max(most, start[q + 1] - start[q])
    ordered = np.empty(most, scores.dtype)
    above, tied, hits = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    moved, sized = np.empty(most, np.int64), np.empty(most, np.int64)
    for q in range(len(scores)):
        relevant = start[q + 1] - start[q]
        if relevant == 0:
            values[q], low[q], high[q] = np.nan, np.nan, np.nan
            continue
        _descending(scores[q], positives[start[q] : start[q + 1]], ordered)
        groups, n = 0, 0
        while n < relevant:
            first = n
            n += 1
            while n < relevant and ordered[n] == ordered[first]:
                n += 1
            above[groups], tied[groups] = count_above(scores[q], ordered[first])
            hits[groups] = n - first
            groups += 1
        for order, out in ((rule, values[q]), (PESSIMISTIC, low[q]), (OPTIMISTIC, high[q])):
            blend = reorder(above, tied, hits, groups, order, moved, sized)
            instance_values(moved, sized, hits, groups, relevant, cuts, fraction, tables, out)
            mixed[q] |= blend
            if not blend:  # every order is the same
                copy_row(values[q], low[q])
                copy_row(values[q], high[q])
                break
