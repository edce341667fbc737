# mypy: disallow-untyped-decorators=False
"""The compiled part of the exact Hamming search: numba, with its vector operations written in LLVM.

Codes lie word-major, one column of 64-bit words per array, so that one vector register holds the same word of
several codes. The scan asks of 128 codes at a time only whether any of them is near enough to one of a few queries
that share the loaded codes (xor, popcount, minimum: three instructions for eight codes and one query with AVX-512,
no branch); the rare groups that are near enough wait in a list and are looked at again, bit mask by bit mask. Written
as vectors of fixed width, the code does not depend on what LLVM's loop vectoriser makes of a loop; LLVM splits them
into what the CPU has (AVX-512, AVX2, NEON or plain words).

Importing this module imports numba; it compiles on first use and keeps the result in numba's cache, which looks at the
file of a function alone: whatever calls a compiled function of this file stands in it too.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import extending, njit, types
from numba.core import cgutils

GROUP = 128  # codes per question "is any of these near enough?"; 64 to 512 differ by 10 %
LANES = 8  # codes per vector value: one AVX-512 register or two of AVX2
MASK = 64  # codes per bit mask of the second look
ID_BITS = 48  # a hit is one integer: distance above, id below, so that integer order is (distance, id)
WAITING = 16  # groups that wait for the second look before it is worth its call

# numba's type of it counts the typing context among a caller's arguments.
intrinsic: Any = extending.intrinsic

_I32, _I64 = ir.IntType(32), ir.IntType(64)


def splat(builder: Any, value: Any, lanes: int) -> Any:
    """One 64-bit integer in every lane of a vector."""
    empty = ir.Constant(ir.VectorType(_I64, lanes), ir.Undefined)
    first = builder.insert_element(empty, value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(_I32, lanes), [0] * lanes))


def call(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    """Calls one of LLVM's own functions on vectors, which llvmlite cannot declare by itself."""
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def _words_of(context: Any, builder: Any, kind: Any, queries: Any, row: Any, words: int) -> Any:
    """Address of a query. It is named by its row: a slice would count references, an atomic instruction each."""
    data = context.make_array(kind)(context, builder, queries).data
    return builder.gep(data, [builder.mul(row, ir.Constant(_I64, words))])


def distances(context: Any, builder: Any, signature: Any, arguments: Any, start: Any, lanes: int, rows: int) -> Any:
    """Distances of ``lanes`` neighbouring codes from ``rows`` neighbouring queries: a vector of integers for each."""
    columns, queries = signature.args[:2]
    words = _words_of(context, builder, queries, arguments[1], arguments[2], columns.count)
    vector = ir.VectorType(_I64, lanes)
    totals: list[Any] = [None] * rows
    for word in range(columns.count):
        column = context.make_array(columns.dtype)(context, builder, builder.extract_value(arguments[0], word))
        codes = builder.load(builder.bitcast(builder.gep(column.data, [start]), vector.as_pointer()))
        codes.align = 8
        for row in range(rows):
            asked = builder.load(builder.gep(words, [ir.Constant(_I64, row * columns.count + word)]))
            bits = builder.xor(codes, splat(builder, asked, lanes))
            count = call(builder, f"llvm.ctpop.v{lanes}i64", vector, [bits])
            totals[row] = count if totals[row] is None else builder.add(totals[row], count)
    return totals


def _nearest(context: Any, builder: Any, signature: Any, arguments: Any, rows: int) -> list[Any]:
    """For each of some queries the smallest distances, lane by lane, within the group that begins at ``start``."""
    # A distance fits in 32 bits and the upper halves stay 0, so the minimum may be one of 32-bit integers:
    # AVX2 has that one and not the 64-bit minimum.
    halves = ir.VectorType(_I32, 2 * LANES)
    best: list[Any] = [None] * rows
    for offset in range(0, GROUP, LANES):
        start = builder.add(arguments[3], ir.Constant(_I64, offset))
        for row, near in enumerate(distances(context, builder, signature, arguments, start, LANES, rows)):
            near = builder.bitcast(near, halves)
            minimum = f"llvm.umin.v{2 * LANES}i32"
            best[row] = near if best[row] is None else call(builder, minimum, halves, [best[row], near])
    return [builder.bitcast(near, ir.VectorType(_I64, LANES)) for near in best]


def _groups_near(rows_of: Callable[[int], int]) -> Any:
    """Makes the question: bit i of the answer is set where the group has a code within the limit of query i.

    Args:
        rows_of: Neighbouring queries that are asked for together, from the words of a code.
    """

    @intrinsic
    def near(typing_context: Any, columns: Any, queries: Any, row: Any, start: Any, limits: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            allowed = context.make_array(signature.args[4])(context, builder, arguments[4]).data
            answer = ir.Constant(_I64, 0)
            best = _nearest(context, builder, signature, arguments, rows_of(signature.args[0].count))
            for query, nearest in enumerate(best):
                at = builder.add(arguments[2], ir.Constant(_I64, query))
                limit = splat(builder, builder.load(builder.gep(allowed, [at])), LANES)
                lanes = builder.bitcast(builder.icmp_signed("<=", nearest, limit), ir.IntType(LANES))
                any_lane = builder.icmp_unsigned("!=", lanes, ir.Constant(ir.IntType(LANES), 0))
                bit = builder.shl(builder.zext(any_lane, _I64), ir.Constant(_I64, query))
                answer = builder.or_(answer, bit)
            return answer

        if {columns.dtype.layout, queries.layout, limits.layout} != {"C"}:
            raise TypeError("columns, queries and limits must be contiguous")  # loaded from neighbouring addresses
        return types.int64(columns, queries, types.int64, types.int64, limits), codegen

    return near


def _together(words: int) -> int:
    """Queries that share the loaded codes: as many as leave room in the registers for what is summed."""
    return 4 if words <= 4 else 2


_near_some, near_one = _groups_near(_together), _groups_near(lambda words: 1)


@intrinsic
def _queries_together(typing_context: Any, columns: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(_I64, _together(signature.args[0].count))

    return types.int64(columns), codegen


@intrinsic
def _within(typing_context: Any, columns: Any, queries: Any, row: Any, start: Any, limit: Any) -> Any:
    """Bit i is set where code ``start + i`` is at most ``limit`` away."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        near = distances(context, builder, signature, arguments, arguments[3], MASK, 1)[0]
        return builder.bitcast(builder.icmp_signed("<=", near, splat(builder, arguments[4], MASK)), _I64)

    return types.uint64(columns, queries, types.int64, types.int64, types.int64), codegen


@intrinsic
def _trailing_zeros(typing_context: Any, word: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), codegen


@intrinsic
def _distance(typing_context: Any, columns: Any, queries: Any, row: Any, code: Any) -> Any:
    """Distance of one code from one query."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        one = distances(context, builder, signature, arguments, arguments[3], 1, 1)[0]
        return builder.extract_element(one, ir.Constant(_I32, 0))

    return types.int64(columns, queries, types.int64, types.int64), codegen


@njit(nogil=True, cache=True)
def collect(
    columns: tuple[np.ndarray, ...],
    queries: np.ndarray,
    row: int,
    k: int,
    groups: np.ndarray,
    looked: np.ndarray,
    stop: int,
    limit: int,
    histogram: np.ndarray,
    counts: np.ndarray,
    hits: np.ndarray,
) -> int:
    """Takes the hits of the groups that wait and tightens the limit: the counting select.

    ``counts`` holds for each query the hits within ``limit``, the hits stored and the groups that wait; ``looked`` is
    room for two masks of each waiting group. As soon as k codes lie within the limit, a later code must be nearer than
    the limit to enter: an equal one has a larger id and loses the tie.
    """
    within, stored, waiting = counts[row]
    found, frequency, masks = hits[row], histogram[row], 0
    for place in range(2 * waiting):  # without a branch: the processor could not foretell which half has the hit
        start = groups[row, place >> 1] + (place & 1) * MASK
        mask = _within(columns, queries, row, start, limit)
        looked[masks, 0], looked[masks, 1] = mask, start
        masks += mask != 0
    for place in range(masks):
        mask, start = looked[place, 0], np.int64(looked[place, 1])
        while mask:
            code = start + _trailing_zeros(mask)
            mask &= mask - np.uint64(1)
            distance = _distance(columns, queries, row, code)
            if code >= stop or distance > limit:  # the limit fell since the mask was made
                continue
            if stored == len(found):
                stored = _cleared(found, limit)
            found[stored] = (distance << ID_BITS) | code
            stored += 1
            frequency[distance] += 1
            within += 1
            while within >= k:
                within -= frequency[limit]
                limit -= 1
    counts[row] = within, stored, 0
    return limit


@njit(nogil=True, cache=True)
def _cleared(found: np.ndarray, limit: int) -> int:
    """Moves the hits that may still count to the front; tells how many there are."""
    stored = 0
    for hit in found:
        if hit >> ID_BITS <= limit + 1:
            found[stored] = hit
            stored += 1
    return stored


@njit(nogil=True, cache=True)
def emit(hits: np.ndarray, stored: int, limit: int, histogram: np.ndarray, out: np.ndarray) -> None:
    """Counting sort of the hits, which stand in order of id, into the k nearest; ties by lowest id."""
    place = np.zeros(limit + 3, np.int64)
    for distance in range(limit + 2):
        place[distance + 1] = place[distance] + histogram[distance]
    for hit in hits[:stored]:
        distance = hit >> ID_BITS
        if distance <= limit + 1 and place[distance] < out.shape[0]:
            out[place[distance]] = hit
            place[distance] += 1


@njit(nogil=True, cache=True)
def scan(
    columns: tuple[np.ndarray, ...],
    begin: int,
    stop: int,
    queries: np.ndarray,
    limits: np.ndarray,
    block: int,
    out: np.ndarray,
) -> np.ndarray:
    """Nearest codes of a tile of queries among the codes ``begin`` to ``stop``.

    Args:
        columns: Tuple of ``words`` arrays of 64-bit words, each padded to a multiple of ``GROUP``.
        begin: First code, a multiple of ``GROUP``.
        stop: One behind the last code.
        queries: ``queries words``.
        limits: First threshold of each query; 64 * words asks for nothing to be left out.
        block: Codes that stay in the first cache while all queries pass over them, a multiple of ``GROUP``.
        out: ``queries k``: receives ``distance << ID_BITS | id``, sorted.

    Returns:
        Whether each query found k codes within its first threshold; the others' rows of ``out`` are not filled.
    """
    tile, k = out.shape
    histogram = np.zeros((tile, 64 * len(columns) + 2), np.int64)
    hits = np.empty((tile, 4 * k + 64), np.int64)  # at most 2 k - 1 of them survive a clearing
    counts = np.zeros((tile, 3), np.int64)
    groups = np.empty((tile, block // GROUP + WAITING), np.int64)
    looked = np.empty((2 * groups.shape[1], 2), np.uint64)
    first, limits = limits, limits.copy()
    for start in range(begin, stop, block):
        end, row = min(start + block, stop), 0
        while row < tile:
            rows = _queries_together(columns) if row + _queries_together(columns) <= tile else 1
            for group in range(start, end, GROUP):
                if rows > 1:
                    near = _near_some(columns, queries, row, group, limits)
                else:
                    near = near_one(columns, queries, row, group, limits)
                for query in range(row, row + rows):  # without a branch: a wrong guess would cost a group's work
                    groups[query, counts[query, 2]] = group
                    counts[query, 2] += near & 1
                    near >>= 1
            for query in range(row, row + rows):
                if counts[query, 2] >= WAITING or end == stop:
                    limits[query] = collect(
                        columns, queries, query, k, groups, looked, stop, limits[query], histogram, counts, hits
                    )
            row += rows
    for row in range(tile):
        if limits[row] < first[row]:
            emit(hits[row], counts[row, 1], limits[row], histogram[row], out[row])
    return limits < first


@njit(nogil=True, cache=True)
def screen(
    columns: tuple[np.ndarray, ...],
    starts: np.ndarray,
    lists: np.ndarray,
    queries: np.ndarray,
    out: np.ndarray,
    found: np.ndarray,
) -> None:
    """Nearest codes of each query within its lists.

    Args:
        columns: Words of all codes, list after list, padded by ``GROUP`` codes.
        starts: First code of each list, and one behind the last.
        lists: ``queries probes``: lists to look into.
        queries: ``queries words``.
        out: ``queries candidates``: receives ``distance << ID_BITS | place``, sorted.
        found: ``queries``: receives how many there are; fewer where the lists hold fewer.
    """
    rows, candidates = out.shape
    histogram = np.zeros((rows, 64 * len(columns) + 2), np.int64)
    hits = np.empty((rows, 4 * candidates + 64), np.int64)
    counts = np.zeros((rows, 3), np.int64)
    groups, looked = np.empty((rows, WAITING), np.int64), np.empty((2 * WAITING, 2), np.uint64)
    limits = np.full(rows, 64 * len(columns))
    for row in range(rows):
        held = 0
        for probe in range(lists.shape[1]):
            begin, stop = starts[lists[row, probe]], starts[lists[row, probe] + 1]
            held += stop - begin
            for group in range(begin, stop, GROUP):
                if near_one(columns, queries, row, group, limits):
                    groups[row, counts[row, 2]] = group
                    counts[row, 2] += 1
                if counts[row, 2] == WAITING or (counts[row, 2] and group + GROUP >= stop):
                    limits[row] = collect(
                        columns, queries, row, candidates, groups, looked, stop, limits[row], histogram, counts, hits
                    )
        limit = limits[row]
        emit(hits[row], counts[row, 1], limit, histogram[row], out[row])
        found[row] = min(held, candidates)
