"""Binary codes: items are counted per Hamming distance, so that one row costs one pass and no sort."""

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from fico.metrics.kernels.compiled import Ints, Scores, Words, kernel, subroutine
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
    labels: Words,
    image: int,
    first_of_image: Ints,
    captions: Ints,
    identity: bool,
    by_image: NDArray[np.uint8],
    out: Ints,
) -> int:
    """Items that share a label with the image, into ``out``; returns their number."""
    relevance_row(labels, image, by_image)
    found = 0
    if identity:
        for i in range(len(by_image)):
            out[found] = i
            found += by_image[i]
    else:
        for i in range(len(by_image)):
            if by_image[i]:
                for n in range(first_of_image[i], first_of_image[i + 1]):
                    out[found] = captions[n]
                    found += 1
    return found


@subroutine
def _count_positives(
    distances: NDArray[np.uint16], counts: Ints, positives: Ints, start: Ints, q: int, above: Ints, tied: Ints,
    relevant: Ints, mixed: NDArray[np.bool_],
) -> None:  # fmt: skip
    """Tied blocks of a query that hold positives, from the items of each distance."""
    block, found, seen, distance = start[q] - start[0], 0, 0, 0
    while found < start[q + 1] - start[q]:
        hits = 0
        for n in range(start[q], start[q + 1]):
            hits += distances[positives[n]] == distance
        if hits > 0:
            above[block], tied[block], relevant[block] = seen, counts[distance], hits
            mixed[q] |= counts[distance] > hits
            block += 1
        found, seen, distance = found + hits, seen + counts[distance], distance + 1


@kernel
def count_codes(
    queries: Words,
    words: Words,
    query_images: Ints,
    first_of_image: Ints,
    captions: Ints,
    identity: bool,
    labels: Words,
    k: int,
    start: Ints,
    positives: Ints,
    above: Ints,
    tied: Ints,
    relevant: Ints,
    mixed: NDArray[np.bool_],
    counts: NDArray[np.int64],
    hits: NDArray[np.int64],
    occurrences: Ints,
    distances: NDArray[np.uint16],
    ways: NDArray[np.int32],
    by_image: NDArray[np.uint8],
    items: Ints,
) -> None:
    """Counts the items of each distance, and the relevant ones among them.

    Args:
        queries: Words of the codes, ``queries words``.
        words: Those of all items, ``words items``.
        query_images: Image of each query.
        first_of_image: Items of image i are ``captions[first_of_image[i]:first_of_image[i + 1]]``.
        captions: See there.
        identity: Items are the images themselves.
        labels: Bit sets of each image's labels, ``words images``.
        k: Cut-off of ``occurrences``; 0 counts none.
        start: As in `fico.metrics.kernels.floats.count_positives`, and so are the next arguments up to ``mixed``.
        positives: See there.
        above: See there.
        tied: See there.
        relevant: See there.
        mixed: See there.
        counts: Receives ``queries distances``: items.
        hits: Receives those that share a label with the query; without rows where there are no labels.
        occurrences: Receives how often each item is among the first ``k``.
        distances: Working memory, as long as there are items.
        ways: Working memory, ``8 distances``.
        by_image: Working memory, as long as there are images.
        items: Working memory, one more than there are items.
    """
    found = 0
    for q in range(len(queries)):
        distance_row(queries[q], words, distances)
        _count_distances(distances, ways, counts[q])
        if k > 0:
            count_distances_row(distances, counts[q], k, occurrences)
        if len(hits) > 0:
            if q == 0 or query_images[q] != query_images[q - 1]:
                found = _relevant_items(labels, query_images[q], first_of_image, captions, identity, by_image, items)
            for n in range(found):
                hits[q, distances[items[n]]] += 1
        _count_positives(distances, counts[q], positives, start, q, above, tied, relevant, mixed)


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
