# mypy: disallow-untyped-decorators=False
"""The compiled part of the exact Hamming search: numba, with three vector operations written in LLVM.

Codes lie word-major, one column of 64-bit words per array, so that one vector register holds the same word of
several codes. The scan asks of 128 codes at a time only for the smallest distance (xor, popcount, minimum: three
instructions for eight codes with AVX-512, no branch); the rare group that reaches a query's threshold is looked
at again, bit mask by bit mask. Written as vectors of fixed width, the code does not depend on what LLVM's loop
vectoriser makes of a loop; LLVM splits them into what the CPU has (AVX-512, AVX2, NEON or plain words).

Importing this module imports numba; it compiles on first use and keeps the result in numba's cache.
"""

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import extending, njit, types
from numba.core import cgutils

GROUP = 128  # codes per question "is any of these near enough?"; 64 to 512 differ by 10 %
LANES = 16  # codes per vector value: two AVX-512 registers or four of AVX2
MASK = 64  # codes per bit mask of the second look
ID_BITS = 48  # a hit is one integer: distance above, id below, so that integer order is (distance, id)

# numba's type of it counts the typing context among a caller's arguments.
intrinsic: Any = extending.intrinsic

_I32, _I64 = ir.IntType(32), ir.IntType(64)


def _splat(builder: Any, value: Any, lanes: int) -> Any:
    empty = ir.Constant(ir.VectorType(_I64, lanes), ir.Undefined)
    first = builder.insert_element(empty, value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(_I32, lanes), [0] * lanes))


def call(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    """Calls one of LLVM's own functions on vectors, which llvmlite cannot declare by itself."""
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def _distances(context: Any, builder: Any, signature: Any, arguments: Any, start: Any, lanes: int) -> Any:
    """Distances of ``lanes`` neighbouring codes from one query, as a vector of 64-bit integers.

    The query is named by its row: a slice would count references, an atomic instruction each.
    """
    columns, queries = signature.args[:2]
    words = context.make_array(queries)(context, builder, arguments[1]).data
    words = builder.gep(words, [builder.mul(arguments[2], ir.Constant(_I64, columns.count))])
    vector = ir.VectorType(_I64, lanes)
    total = None
    for word in range(columns.count):
        column = context.make_array(columns.dtype)(context, builder, builder.extract_value(arguments[0], word))
        codes = builder.load(builder.bitcast(builder.gep(column.data, [start]), vector.as_pointer()))
        codes.align = 8
        bits = builder.xor(codes, _splat(builder, builder.load(builder.gep(words, [ir.Constant(_I64, word)])), lanes))
        count = call(builder, f"llvm.ctpop.v{lanes}i64", vector, [bits])
        total = count if total is None else builder.add(total, count)
    return total


@intrinsic
def nearest(typing_context: Any, columns: Any, queries: Any, row: Any, start: Any) -> Any:
    """Smallest distance within the group of codes that begins at ``start``."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # A distance fits in 32 bits and the upper halves stay 0, so the minimum may be one of 32-bit integers:
        # AVX2 has that one and not the 64-bit minimum.
        halves = ir.VectorType(_I32, 2 * LANES)
        best = None
        for offset in range(0, GROUP, LANES):
            start = builder.add(arguments[3], ir.Constant(_I64, offset))
            near = _distances(context, builder, signature, arguments, start, LANES)
            near = builder.bitcast(near, halves)
            best = near if best is None else call(builder, f"llvm.umin.v{2 * LANES}i32", halves, [best, near])
        best = builder.bitcast(best, ir.VectorType(_I64, LANES))
        return call(builder, f"llvm.vector.reduce.umin.v{LANES}i64", _I64, [best])

    if columns.dtype.layout != "C" or queries.layout != "C":  # the vectors are loaded from neighbouring addresses
        raise TypeError("columns and queries must be contiguous")
    return types.int64(columns, queries, types.int64, types.int64), codegen


@intrinsic
def _within(typing_context: Any, columns: Any, queries: Any, row: Any, start: Any, limit: Any) -> Any:
    """Bit i is set where code ``start + i`` is at most ``limit`` away."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        near = _distances(context, builder, signature, arguments, arguments[3], MASK)
        return builder.bitcast(builder.icmp_signed("<=", near, _splat(builder, arguments[4], MASK)), _I64)

    return types.uint64(columns, queries, types.int64, types.int64, types.int64), codegen


@intrinsic
def _trailing_zeros(typing_context: Any, word: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), codegen


@intrinsic
def _popcount(typing_context: Any, word: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), codegen


@njit(nogil=True, cache=True)
def collect(
    columns: tuple[np.ndarray, ...],
    queries: np.ndarray,
    row: int,
    k: int,
    group: int,
    stop: int,
    limit: int,
    histogram: np.ndarray,
    counts: np.ndarray,
    hits: np.ndarray,
) -> int:
    """Takes the hits of one group and tightens the limit: the counting select.

    ``counts`` holds the hits within ``limit`` and the hits stored. As soon as k codes lie within the limit, a
    later code must be nearer than the limit to enter: an equal one has a larger id and loses the tie.
    """
    within, stored = counts[row, 0], counts[row, 1]
    for start in range(group, min(group + GROUP, stop), MASK):
        mask = _within(columns, queries, row, start, limit)
        while mask:
            code = start + _trailing_zeros(mask)
            mask &= mask - np.uint64(1)
            if code >= stop:
                break
            distance = 0
            for word in range(len(columns)):
                distance += _popcount(queries[row, word] ^ columns[word][code])
            if distance > limit:  # the limit fell since the mask was made
                continue
            if stored == hits.shape[1]:
                stored = 0
                for place in range(hits.shape[1]):
                    if hits[row, place] >> ID_BITS <= limit + 1:
                        hits[row, stored] = hits[row, place]
                        stored += 1
            hits[row, stored] = (distance << ID_BITS) | code
            stored += 1
            histogram[row, distance] += 1
            within += 1
            while within >= k:
                within -= histogram[row, limit]
                limit -= 1
    counts[row, 0], counts[row, 1] = within, stored
    return limit


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
    counts = np.zeros((tile, 2), np.int64)
    first, limits = limits, limits.copy()
    for start in range(begin, stop, block):
        for row in range(tile):
            limit = limits[row]
            for group in range(start, min(start + block, stop), GROUP):
                if nearest(columns, queries, row, group) <= limit:
                    limit = collect(columns, queries, row, k, group, stop, limit, histogram, counts, hits)
            limits[row] = limit
    for row in range(tile):
        if limits[row] < first[row]:
            emit(hits[row], counts[row, 1], limits[row], histogram[row], out[row])
    return limits < first
