"""Blocks of real scores: counting for the instance task, two sorted parts per row for the category task."""

import numpy as np
from numpy.typing import NDArray

from fico.kernels.blocks import EXPECTED, OPTIMISTIC, PESSIMISTIC, category_values, instance_values, reorder
from fico.kernels.compiled import Ints, Outputs, Reals, Scores, Tables, Words, kernel


@kernel
def relevance_row(
    labels: Words,
    image: int,
    item_images: Ints,
    identity: bool,
    by_image: NDArray[np.uint8],
    by_item: NDArray[np.uint8],
) -> None:
    """Writes 1 into ``by_item`` for every item that shares a label with the image; captions inherit from theirs."""
    images, words = labels.shape
    if words == 1:
        wanted = labels[image, 0]
        for i in range(images):
            by_image[i] = (labels[i, 0] & wanted) != 0
    elif words == 2:
        first, second = labels[image, 0], labels[image, 1]
        for i in range(images):
            by_image[i] = ((labels[i, 0] & first) | (labels[i, 1] & second)) != 0
    else:
        for i in range(images):
            common = np.uint64(0)
            for w in range(words):
                common |= labels[i, w] & labels[image, w]
            by_image[i] = common != 0
    if identity:
        by_item[:] = by_image
    else:
        for j in range(len(item_images)):
            by_item[j] = by_image[item_images[j]]


@kernel
def split_rows(
    scores: Scores, query_images: Ints, item_images: Ints, identity: bool, labels: Words, parts: Scores, right: Ints
) -> None:
    """Copies each row's scores into ``parts``: relevant ones first, wrong ones behind; counts the relevant ones."""
    queries, items = scores.shape
    by_image, by_item = np.empty(len(labels), np.uint8), np.empty(items, np.uint8)
    for q in range(queries):
        if q == 0 or query_images[q] != query_images[q - 1]:
            relevance_row(labels, query_images[q], item_images, identity, by_image, by_item)
        low, high = np.int64(0), np.int64(items - 1)
        for j in range(items):  # both ends are written and one of them moves on: no branch to mispredict
            score, relevant = scores[q, j], np.int64(by_item[j])
            parts[q, low] = score
            parts[q, high] = score
            low += relevant
            high -= 1 - relevant
        right[q] = low


@kernel
def _merge(part: Scores, right: int, above: Ints, tied: Ints, hits: Ints) -> int:
    """Tied blocks of one row whose relevant scores ``part[:right]`` and wrong scores ``part[right:]`` ascend."""
    i, j, groups = right - 1, len(part) - 1, 0
    while i >= 0:
        score = part[i]
        while j >= right and part[j] > score:
            j -= 1
        before = i
        i -= 1
        while i >= 0 and part[i] == score:
            i -= 1
        wrong = 0
        while j - wrong >= right and part[j - wrong] == score:
            wrong += 1
        above[groups] = (right - 1 - before) + (len(part) - 1 - j)
        tied[groups] = before - i + wrong
        hits[groups] = before - i
        groups += 1
        j -= wrong
    return groups


@kernel
def category_rows(
    parts: Scores,
    right: Ints,
    rule: int,
    cuts: Ints,
    denominator: int,
    tables: Tables,
    outputs: Outputs,
    mixed: NDArray[np.bool_],
) -> None:
    """Category values of each row of sorted parts, and their bounds where tied blocks mix right and wrong items."""
    values, low, high = outputs
    items = parts.shape[1]
    above, tied, hits = np.empty(items, np.int64), np.empty(items, np.int64), np.empty(items, np.int64)
    moved, sized = np.empty(items, np.int64), np.empty(items, np.int64)
    for q in range(len(parts)):
        groups = _merge(parts[q], right[q], above, tied, hits)
        blend = False
        for g in range(groups):
            blend |= tied[g] > hits[g]
        mixed[q] |= blend
        if not blend:
            category_values(above, tied, hits, groups, right[q], cuts, denominator, tables, values[q])
            low[q], high[q] = values[q], values[q]
            continue
        for order, out in ((rule, values[q]), (PESSIMISTIC, low[q]), (OPTIMISTIC, high[q])):
            reorder(above, tied, hits, groups, order, moved, sized)
            category_values(moved, sized, hits, groups, right[q], cuts, denominator, tables, out)


@kernel
def _count(row: Scores, score: float) -> tuple[int, int]:
    above, equal = 0, 0
    for j in range(len(row)):
        above += row[j] > score
        equal += row[j] == score
    return above, equal


@kernel
def _descending(row: Scores, items: Ints, out: Scores) -> None:
    """Insertion sort of the scores of a few items."""
    for n in range(len(items)):
        score, place = row[items[n]], n
        while place > 0 and out[place - 1] < score:
            out[place] = out[place - 1]
            place -= 1
        out[place] = score


@kernel
def instance_rows(
    scores: Scores,
    start: Ints,
    own: Ints,
    rule: int,
    cuts: Ints,
    fraction: bool,
    discount: Reals,
    outputs: Outputs,
    mixed: NDArray[np.bool_],
) -> None:
    """Instance values of each row: the own items are ``own[start[q]:start[q + 1]]``; others are only counted."""
    values, low, high = outputs
    most = 1
    for q in range(len(scores)):
        most = max(most, start[q + 1] - start[q])
    ordered = np.empty(most, scores.dtype)
    above, tied, hits = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    moved, sized = np.empty(most, np.int64), np.empty(most, np.int64)
    for q in range(len(scores)):
        right = start[q + 1] - start[q]
        if right == 0:
            values[q], low[q], high[q] = np.nan, np.nan, np.nan
            continue
        _descending(scores[q], own[start[q] : start[q + 1]], ordered)
        groups, n = 0, 0
        while n < right:
            first = n
            while n < right and ordered[n] == ordered[first]:
                n += 1
            above[groups], tied[groups] = _count(scores[q], ordered[first])
            hits[groups] = n - first
            groups += 1
        blend = reorder(above, tied, hits, groups, EXPECTED, moved, sized)
        mixed[q] |= blend
        if not blend:
            instance_values(above, tied, hits, groups, right, cuts, fraction, discount, values[q])
            low[q], high[q] = values[q], values[q]
            continue
        for order, out in ((rule, values[q]), (PESSIMISTIC, low[q]), (OPTIMISTIC, high[q])):
            reorder(above, tied, hits, groups, order, moved, sized)
            instance_values(moved, sized, hits, groups, right, cuts, fraction, discount, out)
