# mypy: disallow-untyped-decorators=False
"""The compiled part of the Hamming search: the near codes of every slab, and the counting select of the nearest.

Importing this module imports numba; it compiles on first use and keeps the result in numba's cache, which looks at the
file of a function alone: whatever calls a compiled function of this file is in it too, and whoever changes
`avx512_popcount` or `bit_planes` changes this file as well.
"""

from typing import cast

import numpy as np
from numba import njit

from fico.search.hamming.avx512_popcount import (
    LAYER,
    LOOKUPS,
    PAIR,
    TRIPLES,
    count_bits,
    direct_first,
    direct_last,
    direct_next,
    direct_only,
    share,
    shared_first,
    shared_last,
    shared_next,
    shared_only,
    trailing_zeros,
)
from fico.search.hamming.bit_planes import BITS, LANES, SLAB, aligned
from fico.search.hamming.layout import ID_BITS, SHARED

_ZERO = cast(int, np.int64(0))  # numba knows its type alone; for the literal 0 it compiles what is called once more


_kernel = njit(nogil=True, cache=True, no_cfunc_wrapper=True)
_subroutine = njit(nogil=True, cache=True, no_cfunc_wrapper=True, no_cpython_wrapper=True)  # only kernels call it


@_subroutine
def _offset(limit: int, bits: int) -> int:
    """Where a count begins so that it overflows beyond the limit; at once if nothing may be near enough."""
    return (1 << (bits - 1)) - 1 - max(limit, -1)


@_subroutine
def _begin_at(offsets: np.ndarray, row: int, limit: int) -> None:
    offset = _offset(limit, offsets.shape[1])
    for weight in range(offsets.shape[1]):
        offsets[row, weight] = -(offset >> weight & 1)


@_subroutine
def _lookups(queries: np.ndarray) -> np.ndarray:
    """Offsets in the shared layer, for each word of each query."""
    lookups = np.empty((*queries.shape, LOOKUPS), np.uint16)
    for row in range(queries.shape[0]):
        for word in range(queries.shape[1]):
            bits = queries[row, word]
            for triple in range(TRIPLES):
                lookups[row, word, triple] = PAIR * (8 * triple + (bits >> 3 * triple & 7))
            lookups[row, word, TRIPLES] = PAIR * 8 * TRIPLES + LANES * (bits >> BITS - 1 & 1)
    return lookups


@_subroutine
def _flips(queries: np.ndarray) -> np.ndarray:
    """All ones for each bit of a query that is set."""
    flips = np.empty((*queries.shape, BITS), np.int64)
    for row in range(queries.shape[0]):
        for word in range(queries.shape[1]):
            for bit in range(BITS):
                flips[row, word, bit] = -(queries[row, word] >> bit & 1)
    return flips


@_subroutine
def _near_shared(
    planes: tuple[np.ndarray, ...],
    slab: int,
    lookups: np.ndarray,
    layer: np.ndarray,
    offsets: np.ndarray,
    sums: np.ndarray,
    found: np.ndarray,
    hit_rows: np.ndarray,
) -> int:
    """Counts a slab for all queries; ``hit_rows`` and ``found`` receive rows and lanes with a near code, and counts."""
    pending, last = 0, len(planes) - 1
    for word in range(len(planes)):
        share(planes[word], slab, layer)
        for row in range(len(offsets)):
            if last == 0:
                lanes = shared_only(planes, lookups, row, word, layer, 0, offsets, sums, found, pending)
            elif word == 0:
                lanes = shared_first(planes, lookups, row, word, layer, 0, offsets, sums, found, pending)
            elif word < last:
                lanes = shared_next(planes, lookups, row, word, layer, 0, offsets, sums, found, pending)
            else:
                lanes = shared_last(planes, lookups, row, word, layer, 0, offsets, sums, found, pending)
            if word == last:
                hit_rows[pending] = row << LANES | lanes
                pending += lanes != 0  # without a branch: where no code is near the next query overwrites the entry
    return pending


@_subroutine
def _near_direct(
    planes: tuple[np.ndarray, ...],
    slab: int,
    flips: np.ndarray,
    row: int,
    offsets: np.ndarray,
    sums: np.ndarray,
    found: np.ndarray,
    hit_rows: np.ndarray,
) -> int:
    """Counts a slab for one query; as `_near_shared`, with at most one entry."""
    last, start = len(planes) - 1, slab * SLAB
    if last == 0:
        lanes = direct_only(planes, flips, row, 0, planes[0], start, offsets, sums, found, 0)
    else:
        direct_first(planes, flips, row, 0, planes[0], start, offsets, sums, found, 0)
        for word in range(1, last):
            direct_next(planes, flips, row, word, planes[word], start, offsets, sums, found, 0)
        lanes = direct_last(planes, flips, row, last, planes[last], start, offsets, sums, found, 0)
    hit_rows[0] = row << LANES | lanes
    return int(lanes != 0)


@_subroutine
def _take(
    found: np.ndarray,
    hit_rows: np.ndarray,
    pending: int,
    part: tuple[int, int, int],
    allowed: np.ndarray,
    k: int,
    limits: np.ndarray,
    offsets: np.ndarray,
    histogram: np.ndarray,
    counts: np.ndarray,
    hits: np.ndarray,
) -> None:
    """Takes the near codes of a slab and tightens the limits: the counting select.

    ``part`` is the slab's first code and the range in which codes count; ``counts`` holds for each query the hits
    within its limit and the hits stored. As soon as k codes lie within the limit, a later code must be nearer than the
    limit to enter: an equal one has a larger id and loses the tie.
    """
    first, begin, stop = part
    bits, inside = found.shape[1], (1 << LANES) - (1 << max(0, begin - first) // BITS)
    for entry in range(pending):
        row, lanes = hit_rows[entry] >> LANES, hit_rows[entry] & inside
        before = limit = limits[row]
        offset, within, stored = _offset(limit, bits), counts[row, 0], counts[row, 1]
        while lanes:
            lane = trailing_zeros(lanes)
            lanes &= lanes - 1
            mask = found[entry, bits - 1, lane]
            if limit < before:
                mask &= _within(found, entry, lane, offset + limit)
            if len(allowed):
                mask &= allowed[first // SLAB, lane]
            while mask:
                shift = trailing_zeros(mask)
                mask &= mask - 1
                code, distance = first + BITS * lane + shift, -offset
                for weight in range(bits - 1):
                    distance += (found[entry, weight, lane] >> shift & 1) << weight
                if code >= stop or distance > limit:
                    continue
                if stored == hits.shape[1]:
                    stored = _cleared(hits, row, limit)
                hits[row, stored] = (distance << ID_BITS) | code
                stored += 1
                histogram[row, distance] += 1
                within += 1
                while within >= k:
                    within -= histogram[row, limit]
                    limit -= 1
        counts[row, 0], counts[row, 1] = within, stored
        if limit < before:
            limits[row] = limit
            _begin_at(offsets, row, limit)


@_subroutine
def _within(found: np.ndarray, entry: int, lane: int, most: int) -> int:
    """Codes of a lane whose count is at most a limit: a comparison from the lowest weight up."""
    beyond = 0
    for weight in range(found.shape[1] - 1):
        if most >> weight & 1:
            beyond &= found[entry, weight, lane]
        else:
            beyond |= found[entry, weight, lane]
    return ~beyond


@_subroutine
def _cleared(hits: np.ndarray, row: int, limit: int) -> int:
    """Moves the hits that may still count to the front; returns how many there are."""
    stored = 0
    for hit in hits[row]:
        if hit >> ID_BITS <= limit + 1:
            hits[row, stored] = hit
            stored += 1
    return stored


@_subroutine
def _emit(hits: np.ndarray, stored: int, limit: int, histogram: np.ndarray, out: np.ndarray) -> None:
    """Counting sort of the hits, which stand in order of id, into the k nearest; ties by lowest id."""
    position = np.zeros(limit + 3, np.int64)
    for distance in range(limit + 2):
        position[distance + 1] = position[distance] + histogram[distance]
    for hit in hits[:stored]:
        distance = hit >> ID_BITS
        if distance <= limit + 1 and position[distance] < out.shape[0]:
            out[position[distance]] = hit
            position[distance] += 1


@_kernel
def scan(
    planes: tuple[np.ndarray, ...],
    begin: int,
    stop: int,
    allowed: np.ndarray,
    queries: np.ndarray,
    limits: np.ndarray,
    out: np.ndarray,
) -> np.ndarray:
    """Nearest codes of some queries among the codes ``begin`` to ``stop``.

    Args:
        planes: For each word of a code ``slabs 64 lanes``, as `BitPlanes` holds them.
        begin: First code, a multiple of ``SLAB``.
        stop: One past the last code.
        allowed: ``slabs lanes``: a bit for each code that may be found, as `cpu.lane_masks` makes it; none: all.
        queries: ``queries words``.
        limits: First limit of each query; 64 * words leaves nothing out.
        out: ``queries k``: receives ``distance << ID_BITS | id``, sorted.

    Returns:
        Whether each query found k codes within its first limit; the others' rows of ``out`` are not filled.
    """
    rows, k = out.shape
    bits = count_bits(planes)
    histogram = np.zeros((rows, BITS * len(planes) + 2), np.int64)
    hits = np.empty((rows, 4 * k + 64), np.int64)  # at most 2 k - 1 of them survive a clearing
    counts = np.zeros((rows, 2), np.int64)
    offsets, sums = np.empty((rows, bits), np.int64), aligned(rows * bits * LANES).reshape(rows, bits, LANES)
    found = aligned((rows + 1) * bits * LANES).reshape(rows + 1, bits, LANES)
    first, limits = limits, limits.copy()
    for row in range(rows):
        _begin_at(offsets, row, limits[row])
    is_shared = rows >= SHARED
    layer, hit_rows = aligned(LAYER * is_shared), np.empty(rows + 1, np.int64)
    lookups, flips = _lookups(queries[: rows * is_shared]), _flips(queries[rows * is_shared :])
    for slab in range(begin // SLAB, (stop + SLAB - 1) // SLAB):
        part = (slab * SLAB, begin, stop)
        if is_shared:
            pending = _near_shared(planes, slab, lookups, layer, offsets, sums, found, hit_rows)
            _take(found, hit_rows, pending, part, allowed, k, limits, offsets, histogram, counts, hits)
        else:
            for row in range(rows):
                pending = _near_direct(planes, slab, flips, row, offsets, sums, found, hit_rows)
                if pending:
                    _take(found, hit_rows, pending, part, allowed, k, limits, offsets, histogram, counts, hits)
    for row in range(rows):
        if limits[row] < first[row]:
            _emit(hits[row], counts[row, 1], limits[row], histogram[row], out[row])
    return limits < first


@_subroutine
def _keep(hits: np.ndarray, limit: int, ties: int, out: np.ndarray) -> int:
    """Positions of the hits within the limit and of the first ``ties`` just beyond it; returns how many there are."""
    kept = 0
    for hit in hits:
        distance = hit >> ID_BITS
        is_tie = distance == limit + 1
        if distance <= limit or (is_tie and ties > 0):
            out[kept] = hit & ((1 << ID_BITS) - 1)
            kept += 1
            ties -= is_tie
    return kept


@_kernel
def screen(
    planes: tuple[np.ndarray, ...],
    starts: np.ndarray,
    stops: np.ndarray,
    counts: np.ndarray,
    allowed: np.ndarray,
    lists: np.ndarray,
    queries: np.ndarray,
    out: np.ndarray,
    held: np.ndarray,
) -> None:
    """Nearest codes of each query within its lists.

    Args:
        planes: For each word of a code ``slabs 64 lanes``.
        starts: First code of each list, a multiple of 64.
        stops: One past its last code.
        counts: Codes of it that may be found.
        allowed: ``slabs lanes``: a bit for each code that may be found, as `cpu.lane_masks` makes it; none: all.
        lists: ``queries probes``: lists to scan.
        queries: ``queries words``.
        out: ``queries candidates``: receives their positions in the order of the scan; of equally near ones the first
            are taken.
        held: ``queries``: receives how many there are; fewer where the lists hold fewer.
    """
    rows, candidates = out.shape
    bits, widest = count_bits(planes), BITS * len(planes)
    # of one query after the other, so that they stay in the cache
    histogram, hits = np.empty((1, widest + 2), np.int64), np.empty((1, 4 * candidates + 64), np.int64)
    taken, limits = np.empty((1, 2), np.int64), np.empty(1, np.int64)
    offsets, sums = np.empty((1, bits), np.int64), aligned(bits * LANES).reshape(1, bits, LANES)
    found, hit_rows = aligned(bits * LANES).reshape(1, bits, LANES), np.empty(1, np.int64)
    for row in range(rows):
        flips = _flips(queries[row : row + 1])
        histogram[:] = 0
        taken[:] = 0
        limits[0] = widest
        _begin_at(offsets, _ZERO, widest)
        for probe in range(lists.shape[1]):
            begin, stop = starts[lists[row, probe]], stops[lists[row, probe]]
            if counts[lists[row, probe]] == 0:
                continue
            for slab in range(begin // SLAB, (stop + SLAB - 1) // SLAB):
                pending = _near_direct(planes, slab, flips, _ZERO, offsets, sums, found, hit_rows)
                if pending:
                    part = (slab * SLAB, begin, stop)
                    _take(found, hit_rows, pending, part, allowed, candidates, limits, offsets, histogram, taken, hits)
        held[row] = _keep(hits[0, : taken[0, 1]], limits[0], candidates - taken[0, 0], out[row])
