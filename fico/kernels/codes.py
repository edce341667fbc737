"""Binary codes: items are counted per Hamming distance, so that one row costs one pass and no sort."""

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from fico.kernels.blocks import OPTIMISTIC, PESSIMISTIC, category_values, instance_values, reorder
from fico.kernels.compiled import Ints, Outputs, Reals, Scores, Tables, Words, kernel
from fico.kernels.floats import relevance_row


def _count_bits(typing_context: Any, word: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


popcount: Any = intrinsic(_count_bits)  # set bits of a uint64; LLVM makes vector instructions of it


@kernel
def distance_row(query: Words, words: Words, out: NDArray[np.uint16]) -> None:
    """Hamming distances of one query (its words) to all items (``words items``), into ``out`` (uint16)."""
    for j in range(words.shape[1]):
        out[j] = popcount(words[0, j] ^ query[0])
    for w in range(1, len(words)):
        for j in range(words.shape[1]):
            out[j] += popcount(words[w, j] ^ query[w])


@kernel
def _count_distances(
    distances: NDArray[np.uint16], relevant: NDArray[np.uint8], ways: NDArray[np.int32], counts: Ints
) -> None:
    """Items by distance and relevance: ``counts[2 d + relevant]``. Four tables, so that no count waits for the last."""
    ways[:] = 0
    n = len(distances) // 4 * 4
    for j in range(0, n, 4):
        ways[0, 2 * distances[j] + relevant[j]] += 1
        ways[1, 2 * distances[j + 1] + relevant[j + 1]] += 1
        ways[2, 2 * distances[j + 2] + relevant[j + 2]] += 1
        ways[3, 2 * distances[j + 3] + relevant[j + 3]] += 1
    for j in range(n, len(distances)):
        ways[0, 2 * distances[j] + relevant[j]] += 1
    for d in range(len(counts)):
        counts[d] = ways[0, d] + ways[1, d] + ways[2, d] + ways[3, d]


@kernel
def _blocks(counts: Ints, own: Ints, above: Ints, tied: Ints, hits: Ints) -> int:
    """Tied blocks from counts per distance; ``own`` counts the relevant items per distance."""
    seen, groups = 0, 0
    for d in range(len(own)):
        size = counts[2 * d] + counts[2 * d + 1]
        if own[d] > 0:
            above[groups], tied[groups], hits[groups] = seen, size, own[d]
            groups += 1
        seen += size
    return groups


@kernel
def _add_curves(counts: Ints, relevant: int, precision: Reals, recall: Reals) -> None:
    found, seen = 0, 0
    for d in range(len(precision)):
        found += counts[2 * d + 1]
        seen += counts[2 * d] + counts[2 * d + 1]
        if found > 0:
            precision[d] += found / seen
            recall[d] += found / relevant


@kernel
def code_rows(
    queries: Words,
    words: Words,
    query_images: Ints,
    item_images: Ints,
    identity: bool,
    start: Ints,
    own: Ints,
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
    right: Ints,
    precision: Reals,
    recall: Reals,
) -> None:
    """All values of a block of queries (their words, ``queries words``) against all items (``words items``).

    ``instance`` and ``category`` are triples of arrays: values, pessimistic and optimistic bounds. ``tasks`` tells
    which of the two to fill. ``precision`` and ``recall`` receive sums over the queries per Hamming radius.
    """
    items, radii = words.shape[1], len(precision)
    distances, relevant = np.empty(items, np.uint16), np.zeros(items, np.uint8)
    by_image, ways = np.empty(len(labels), np.uint8), np.empty((4, 2 * radii), np.int32)
    counts, hits_at = np.empty(2 * radii, np.int64), np.empty(radii, np.int64)
    above, tied, hits = np.empty(radii, np.int64), np.empty(radii, np.int64), np.empty(radii, np.int64)
    moved, sized = np.empty(radii, np.int64), np.empty(radii, np.int64)
    for q in range(len(queries)):
        if tasks[1] and (q == 0 or query_images[q] != query_images[q - 1]):
            relevance_row(labels, query_images[q], item_images, identity, by_image, relevant)
        distance_row(queries[q], words, distances)
        _count_distances(distances, relevant, ways, counts)
        if tasks[0] and start[q + 1] > start[q]:
            hits_at[:] = 0
            for n in range(start[q], start[q + 1]):
                hits_at[distances[own[n]]] += 1
            groups = _blocks(counts, hits_at, above, tied, hits)
            for order, out in ((rule, instance[0][q]), (PESSIMISTIC, instance[1][q]), (OPTIMISTIC, instance[2][q])):
                mixed[q] |= reorder(above, tied, hits, groups, order, moved, sized)
                instance_values(moved, sized, hits, groups, start[q + 1] - start[q], recall_cuts, fraction, tables, out)
        elif tasks[0]:
            for n in range(3):
                instance[n][q] = np.nan
        if tasks[1]:
            for d in range(radii):
                hits_at[d] = counts[2 * d + 1]
            right[q] = hits_at.sum()
            _add_curves(counts, right[q], precision, recall)
            groups = _blocks(counts, hits_at, above, tied, hits)
            for order, out in ((rule, category[0][q]), (PESSIMISTIC, category[1][q]), (OPTIMISTIC, category[2][q])):
                mixed[q] |= reorder(above, tied, hits, groups, order, moved, sized)
                category_values(moved, sized, hits, groups, right[q], cuts, denominator, tables, out)


@kernel
def index_ranks(queries: Words, words: Words, bits: int, out: Scores) -> None:
    """Scores without ties: minus the place of each item by distance, equal distances by ascending index."""
    items = words.shape[1]
    distances, place = np.empty(items, np.uint16), np.empty(bits + 2, np.int64)
    for q in range(len(queries)):
        distance_row(queries[q], words, distances)
        place[:] = 0
        for j in range(items):
            place[distances[j] + 1] += 1
        for d in range(bits + 1):
            place[d + 1] += place[d]
        for j in range(items):
            out[q, j] = -place[distances[j]]
            place[distances[j]] += 1
