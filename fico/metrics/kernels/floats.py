"""Blocks of real scores: counting for the instance task, one sort of keys for the category task."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fico.metrics.kernels.blocks import EXPECTED, OPTIMISTIC, PESSIMISTIC, copy_row, instance_values, reorder
from fico.metrics.kernels.compiled import (
    Ints,
    Outputs,
    Scores,
    Tables,
    Words,
    kernel,
    subroutine,
)
from fico.metrics.kernels.hits import expected_values, find_mixed, pessimistic_values, untied_values


@subroutine
def relevance_row(labels: Words, image: int, out: NDArray[np.uint8]) -> None:
    """Writes 1 into ``out`` for every image that shares a label with ``image``, else 0."""
    images, words = labels.shape
    if words == 1:
        wanted = labels[image, 0]
        for i in range(images):
            out[i] = (labels[i, 0] & wanted) != 0
    elif words == 2:
        first, second = labels[image, 0], labels[image, 1]
        for i in range(images):
            out[i] = ((labels[i, 0] & first) | (labels[i, 1] & second)) != 0
    else:
        for i in range(images):
            common = np.uint64(0)
            for w in range(words):
                common |= labels[i, w] & labels[image, w]
            out[i] = common != 0


@kernel
def keys_of_rows(
    bits: NDArray[Any],
    query_images: Ints,
    item_images: Ints,
    identity: bool,
    labels: Words,
    format_: NDArray[Any],
    keys: NDArray[Any],
    relevant_counts: Ints,
    lost: NDArray[np.bool_],
) -> None:
    """Whole numbers that order as the scores do, with the item's relevance in the lowest bit, so one sort does both.

    A row is first divided by the power of two that brings its scores below 2: that loses no bit, and frees one for the
    relevance. A score of minus infinity gets the lowest key.

    Args:
        bits: Scores seen as whole numbers of the same size (sign, exponent, mantissa).
        query_images: Image of each row.
        item_images: Image of each column.
        identity: Items are the images themselves, in order.
        labels: Bit sets of each image's labels.
        format_: Of this float, as whole numbers of its size: magnitude mask, infinity, bit of 2.0, mantissa bits, and
            the exponent field of 1.0.
        keys: Receives whole numbers of the same size.
        relevant_counts: Receives the number of relevant items of each row.
        lost: Set for a row with other scores so small next to its largest that the division would tie them with 0.
    """
    items = bits.shape[1]
    by_image, by_item = np.empty(len(labels), np.uint8), np.empty(items, np.uint8)
    mask, infinity, two, mantissa, one = format_[0], format_[1], format_[2], format_[3], format_[4]
    word = bits.dtype.type  # numba widens what is not cast back, and halves the speed
    zero = word(0)
    for q in range(len(bits)):
        if q == 0 or query_images[q] != query_images[q - 1]:
            relevance_row(labels, query_images[q], by_image)
            if identity:
                for j in range(items):
                    by_item[j] = by_image[j]
            else:  # captions inherit from their image
                for j in range(items):
                    by_item[j] = by_image[item_images[j]]
        row, largest, tiny = bits[q], zero, False
        for j in range(items):
            magnitude = word(row[j] & mask)
            largest = max(largest, magnitude if magnitude != infinity else zero)
        divisor = word(max(zero, word((largest >> mantissa) - one)) << mantissa)
        for j in range(items):
            magnitude = word(row[j] & mask)
            tiny |= (magnitude != zero) & (magnitude <= divisor)
            key = word(max(word(magnitude - divisor), zero))
            key = word(-key) if row[j] < zero else key
            key = word(-two) if magnitude == infinity else key
            keys[q, j] = word(key * 2 + by_item[j])
        count = 0
        for j in range(items):
            count += by_item[j]
        relevant_counts[q], lost[q] = count, tiny & (divisor > 0)


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
