"""Binary codes: items are counted per Hamming distance, so that one row costs one pass and no sort."""

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from fico.metrics.kernels.blocks import OPTIMISTIC, PESSIMISTIC, category_values, instance_values, reorder
from fico.metrics.kernels.compiled import (
    Ints,
    Outputs,
    Reals,
    Scores,
    Tables,
    Words,
    kernel,
    subroutine,
)
from fico.metrics.kernels.keys import relevance_row
from fico.metrics.kernels.occurrences import count_distances_row


def _count_bits(typing_context: Any, word: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


popcount: Any = intrinsic(_count_bits)  # set bits of a uint64; LLVM makes vector instructions of it


@subroutine
def distance_row(query: Words, words: Words, out: NDArray[np.uint16]) -> None:
    """Hamming distances of one query (its words) to all items (``words items``), into ``out`` (uint16)."""
    for j in range(words.shape[1]):
        out[j] = popcount(words[0, j] ^ query[0])
    for w in range(1, len(words)):
        for j in range(words.shape[1]):
            out[j] += popcount(words[w, j] ^ query[w])


@subroutine
def _count_distances(distances: NDArray[np.uint16], ways: NDArray[np.int32], counts: Ints) -> None:
    """Items by distance. Eight tables, so that no count waits for the last."""
    ways[:] = 0
    n = len(distances) // 8 * 8
    for j in range(0, n, 8):
        ways[0, distances[j]] += 1
        ways[1, distances[j + 1]] += 1
        ways[2, distances[j + 2]] += 1
        ways[3, distances[j + 3]] += 1
        ways[4, distances[j + 4]] += 1
        ways[5, distances[j + 5]] += 1
        ways[6, distances[j + 6]] += 1
        ways[7, distances[j + 7]] += 1
    for j in range(n, len(distances)):
        ways[0, distances[j]] += 1
    for d in range(len(counts)):
        low = ways[0, d] + ways[1, d] + ways[2, d] + ways[3, d]
        counts[d] = low + ways[4, d] + ways[5, d] + ways[6, d] + ways[7, d]


@subroutine
def _relevant_items(
    labels: Words, image: int, captions: tuple[Ints, Ints], identity: bool, by_image: NDArray[np.uint8], out: Ints
) -> int:
    """Items that share a label with the image, into ``out``; returns their number.

    ``captions`` gives the items of image i as ``captions[1][captions[0][i]:captions[0][i + 1]]``; under ``identity``
    the items are the images themselves.
    """
    relevance_row(labels, image, by_image)
    found = 0
    if identity:
        for i in range(len(by_image)):
            out[found] = i
            found += by_image[i]
    else:
        for i in range(len(by_image)):
            if by_image[i]:
                for n in range(captions[0][i], captions[0][i + 1]):
                    out[found] = captions[1][n]
                    found += 1
    return found


@subroutine
def _blocks(counts: Ints, hits_at: Ints, above: Ints, tied: Ints, hits: Ints) -> int:
    """Tied blocks from all items per distance and the relevant ones among them, ``hits_at``."""
    seen, groups = 0, 0
    for d in range(len(hits_at)):
        if hits_at[d] > 0:
            above[groups], tied[groups], hits[groups] = seen, counts[d], hits_at[d]
            groups += 1
        seen += counts[d]
    return groups


@subroutine
def _add_curves(counts: Ints, hits: Ints, relevant: int, precision: Reals, recall: Reals) -> None:
    found, seen = 0, 0
    for d in range(len(precision)):
        found += hits[d]
        seen += counts[d]
        if found > 0:
            precision[d] += found / seen
            recall[d] += found / relevant


@kernel
def code_rows(
    queries: Words,
    words: Words,
    query_images: Ints,
    captions: tuple[Ints, Ints],
    identity: bool,
    start: Ints,
    positives: Ints,
    labels: Words,
    tasks: tuple[bool, bool],
    rule: int,
    recall_cuts: Ints,
    fraction: bool,
    cuts: Ints,
    denominator: int,
    tables: Tables,
    instance: Outputs,
    category: Outputs,
    mixed: NDArray[np.bool_],
    relevant_counts: Ints,
    precision: Reals,
    recall: Reals,
    k: int,
    occurrences: Ints,
) -> None:
    """All values of a block of queries (their words, ``queries words``) against all items (``words items``).

    ``instance`` and ``category`` are triples of arrays: values, pessimistic and optimistic bounds. ``tasks`` says
    which of the two to fill. ``precision`` and ``recall`` receive sums over the queries per Hamming radius,
    ``occurrences`` how often each item is among the first ``k``; 0 counts none.
    """
    items, radii = words.shape[1], len(precision)
    distances, relevant, found = np.empty(items, np.uint16), np.empty(items + 1, np.int64), 0
    by_image, ways = np.empty(len(labels), np.uint8), np.empty((8, radii), np.int32)
    counts, hits_at = np.empty(radii, np.int64), np.empty(radii, np.int64)
    above, tied, hits = np.empty(radii, np.int64), np.empty(radii, np.int64), np.empty(radii, np.int64)
    moved, sized = np.empty(radii, np.int64), np.empty(radii, np.int64)
    for q in range(len(queries)):
        if tasks[1] and (q == 0 or query_images[q] != query_images[q - 1]):
            found = _relevant_items(labels, query_images[q], captions, identity, by_image, relevant)
        distance_row(queries[q], words, distances)
        _count_distances(distances, ways, counts)
        if k > 0:
            count_distances_row(distances, counts, k, occurrences)
        if tasks[0] and start[q + 1] > start[q]:
            hits_at[:] = 0
            for n in range(start[q], start[q + 1]):
                hits_at[distances[positives[n]]] += 1
            groups = _blocks(counts, hits_at, above, tied, hits)
            for order, out in ((rule, instance[0][q]), (PESSIMISTIC, instance[1][q]), (OPTIMISTIC, instance[2][q])):
                mixed[q] |= reorder(above, tied, hits, groups, order, moved, sized)
                instance_values(moved, sized, hits, groups, start[q + 1] - start[q], recall_cuts, fraction, tables, out)
        elif tasks[0]:
            for n in range(3):
                instance[n][q] = np.nan
        if tasks[1]:
            hits_at[:] = 0
            for n in range(found):
                hits_at[distances[relevant[n]]] += 1
            relevant_counts[q] = found
            _add_curves(counts, hits_at, found, precision, recall)
            groups = _blocks(counts, hits_at, above, tied, hits)
            for order, out in ((rule, category[0][q]), (PESSIMISTIC, category[1][q]), (OPTIMISTIC, category[2][q])):
                mixed[q] |= reorder(above, tied, hits, groups, order, moved, sized)
                category_values(moved, sized, hits, groups, relevant_counts[q], cuts, denominator, tables, out)


@kernel
def index_ranks(queries: Words, words: Words, bits: int, out: Scores) -> None:
    """Scores without ties: minus the rank of each item by distance, from 0, equal distances by ascending index."""
    items = words.shape[1]
    distances, next_rank = np.empty(items, np.uint16), np.empty(bits + 2, np.int64)
    for q in range(len(queries)):
        distance_row(queries[q], words, distances)
        next_rank[:] = 0
        for j in range(items):
            next_rank[distances[j] + 1] += 1
        for d in range(bits + 1):
            next_rank[d + 1] += next_rank[d]
        for j in range(items):
            out[q, j] = -next_rank[distances[j]]
            next_rank[distances[j]] += 1
