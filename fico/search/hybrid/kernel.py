# mypy: disallow-untyped-decorators=False
"""The compiled part of the coarse-to-fine search: partial selection and products with stored rows.

Rows may be stored as ``float32``, as the bits of ``float16`` (``uint16``) or as ``int8``; the product widens them in
registers, sixteen at a time, and prefetches a later row while it works on one: rows lie far apart in memory.

Importing this module imports numba; it compiles on first use and keeps the result in numba's cache.
"""

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils

from fico.search.hamming.llvm_vectors import (
    I8,
    I32,
    I64,
    call,
    intrinsic,
    prefetch,
)

_LANES = 16
_STEP = 64  # four accumulators hide the latency of the addition
_AHEAD = 8192  # bytes of rows between the one that is multiplied and the one that is fetched: memory's latency
_F32 = ir.FloatType()


def _widened(builder: Any, row: Any, at: Any, lanes: int) -> Any:
    """Elements of a stored row as a vector of floats."""
    stored = row.type.pointee
    source = ir.HalfType() if stored == ir.IntType(16) else stored
    pointer = builder.bitcast(builder.gep(row, [at]), ir.VectorType(source, lanes).as_pointer())
    values = builder.load(pointer)
    values.align = stored.width // 8 if isinstance(stored, ir.IntType) else 4
    wide = ir.VectorType(_F32, lanes)
    if source == I8:
        return builder.sitofp(builder.sext(values, ir.VectorType(I32, lanes)), wide)
    return values if source == _F32 else builder.fpext(values, wide)


def _add_products(builder: Any, row: Any, query: Any, at: Any, total: Any, lanes: int) -> None:
    vector = ir.VectorType(_F32, lanes)
    factor = builder.load(builder.bitcast(builder.gep(query, [at]), vector.as_pointer()))
    factor.align = 4
    arguments = [_widened(builder, row, at, lanes), factor, builder.load(total)]
    builder.store(call(builder, f"llvm.fmuladd.v{lanes}f32", vector, arguments), total)


def _total(builder: Any, lanes: int, count: int) -> list[Any]:
    vector = ir.VectorType(_F32, lanes)
    slots = [cgutils.alloca_once(builder, vector) for _ in range(count)]
    for slot in slots:
        builder.store(ir.Constant(vector, [0.0] * lanes), slot)
    return slots


@intrinsic
def _dot(typing_context: Any, rows: Any, start: Any, following: Any, query: Any, length: Any) -> Any:
    """Product of the row that begins at element ``start`` with a query; fetches the row at ``following``."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        row, ahead = builder.gep(data, [arguments[1]]), builder.gep(data, [arguments[2]])
        factors = context.make_array(signature.args[3])(context, builder, arguments[3]).data
        wide, single = _total(builder, _LANES, _STEP // _LANES), _total(builder, 1, 1)
        steps = builder.sdiv(arguments[4], ir.Constant(I64, _STEP))
        size = signature.args[0].dtype.bitwidth // 8
        with cgutils.for_range(builder, steps) as loop:
            base = builder.mul(loop.index, ir.Constant(I64, _STEP))
            for line in range(0, _STEP * size, 64):
                address = builder.gep(ahead, [builder.add(base, ir.Constant(I64, line // size))])
                prefetch(builder, address)
            for part, slot in enumerate(wide):
                at = builder.add(base, ir.Constant(I64, part * _LANES))
                _add_products(builder, row, factors, at, slot, _LANES)
        done = builder.mul(steps, ir.Constant(I64, _STEP))
        with cgutils.for_range(builder, builder.sub(arguments[4], done)) as loop:
            _add_products(builder, row, factors, builder.add(done, loop.index), single[0], 1)
        one, two, three, four = (builder.load(slot) for slot in wide)
        vector = builder.fadd(builder.fadd(one, two), builder.fadd(three, four))
        tail = builder.extract_element(builder.load(single[0]), ir.Constant(I32, 0))
        return _sum(builder, tail, vector)

    return types.float32(rows, types.int64, types.int64, query, types.int64), codegen


def _sum(builder: Any, first: Any, vector: Any) -> Any:
    """Sum of the lanes in any order: halves are added, so that no chain of sixteen additions arises."""
    lanes = _LANES
    empty = ir.Constant(vector.type, ir.Undefined)
    while lanes > 1:
        lanes //= 2
        upper = [lane + lanes if lane < lanes else 0 for lane in range(_LANES)]
        moved = builder.shuffle_vector(vector, empty, ir.Constant(ir.VectorType(I32, _LANES), upper))
        vector = builder.fadd(vector, moved)
    return builder.fadd(first, builder.extract_element(vector, ir.Constant(I32, 0)))


@njit(nogil=True, cache=True)
def smallest(values: np.ndarray, out: np.ndarray) -> None:
    """Columns of the smallest values of each row, ascending; equal values by lowest column.

    Args:
        values: ``rows columns``.
        out: ``rows k``, ``int64``; ``k`` is at most the number of columns.
    """
    k = out.shape[1]
    best = np.empty(k, values.dtype)
    for row in range(values.shape[0]):
        filled = 0
        for column in range(values.shape[1]):
            value = values[row, column]
            if filled == k and value >= best[k - 1]:
                continue
            at = min(filled, k - 1)
            while at > 0 and best[at - 1] > value:
                best[at] = best[at - 1]
                out[row, at] = out[row, at - 1]
                at -= 1
            best[at] = value
            out[row, at] = column
            filled = min(filled + 1, k)


@njit(nogil=True, cache=True)
def rerank(
    rows: np.ndarray,
    dim: int,
    norms: np.ndarray,
    measure: int,
    list_items: np.ndarray,
    hits: np.ndarray,
    found: np.ndarray,
    queries: np.ndarray,
    shifts: np.ndarray,
    scores: np.ndarray,
    items: np.ndarray,
) -> None:
    """Orders candidates by their product with the query; equal scores by lowest item.

    Args:
        rows: Stored rows, one after the other: ``float32``, ``uint16`` (bits of ``float16``) or ``int8``.
        dim: Elements of a row.
        norms: Per item 1 / length under cosine, squared length under euclidean.
        measure: 0 inner, 1 cosine, 2 euclidean (score: 2 product - squared length).
        list_items: Item at each position of the inverted lists.
        hits: ``queries candidates`` of ``screen``: positions in the lists.
        found: Candidates of each query.
        queries: ``queries dim``, ``float32``, scaled as the stored rows want it.
        shifts: Per query what is added to every product.
        scores: ``queries k``: receives the best, descending; left alone where there are fewer.
        items: ``queries k``: receives their items.
    """
    k = items.shape[1]
    ahead = 1 + _AHEAD // (dim * rows.itemsize)
    for query in range(queries.shape[0]):
        filled = 0
        for candidate in range(found[query]):
            item = list_items[hits[query, candidate]]
            following = list_items[hits[query, min(candidate + ahead, found[query] - 1)]]
            score = _dot(rows, item * dim, following * dim, queries[query], dim) + shifts[query]
            if measure == 1:
                score *= norms[item]
            elif measure == 2:
                score = 2 * score - norms[item]
            at = min(filled, k - 1)
            if filled == k and not (
                score > scores[query, at] or (score == scores[query, at] and item < items[query, at])
            ):
                continue
            while at > 0 and (
                score > scores[query, at - 1] or (score == scores[query, at - 1] and item < items[query, at - 1])
            ):
                scores[query, at] = scores[query, at - 1]
                items[query, at] = items[query, at - 1]
                at -= 1
            scores[query, at] = score
            items[query, at] = item
            filled = min(filled + 1, k)
