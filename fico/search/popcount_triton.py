# mypy: disable-error-code="misc,no-untyped-def,untyped-decorator,no-untyped-call"
"""The fused pass of the exact Hamming search on a GPU, in Triton.

Importing this module imports Triton. With ``TRITON_INTERPRET=1`` set before, the kernel runs on the CPU, slowly.
"""

import triton
import triton.language as tl
from torch import Tensor

ROWS, COLUMNS = 64, 128  # queries and items of one product
_STEPS = 32  # products of one program: its queries stay in registers meanwhile


@triton.jit
def _keep(  # noqa: ANN202
    queries,  # noqa: ANN001
    items,  # noqa: ANN001
    limits,  # noqa: ANN001
    counts,  # noqa: ANN001
    hits,  # noqa: ANN001
    query_count,  # noqa: ANN001
    item_count,  # noqa: ANN001
    room,  # noqa: ANN001
    bits,  # noqa: ANN001
    width: tl.constexpr,
    part: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
    steps: tl.constexpr,
):
    row = tl.program_id(1) * rows + tl.arange(0, rows)
    known = row < query_count
    limit = tl.load(limits + row, known, 2147483647)
    along = tl.arange(0, part)
    first = tl.program_id(0) * columns * steps
    for start in range(first, first + columns * steps, columns):
        column = start + tl.arange(0, columns)
        there = column < item_count
        product = tl.zeros((rows, columns), tl.int32)
        for at in range(0, width, part):
            left = tl.load(queries + row[:, None] * width + at + along[None, :], known[:, None], 0)
            right = tl.load(items + column[None, :].to(tl.int64) * width + at + along[:, None], there[None, :], 0)
            product += tl.dot(left, right, out_dtype=tl.int32)
        near = (product >= limit[:, None]) & there[None, :] & known[:, None]
        if tl.max(near.to(tl.int32)) > 0:
            counter = counts + row[:, None] + tl.zeros((rows, columns), tl.int32)
            place = tl.atomic_add(counter, tl.full((rows, columns), 1, tl.int32), near)
            distance = ((bits - product) // 2).to(tl.int64)
            hit = (distance << 40) | column[None, :].to(tl.int64)
            tl.store(hits + row[:, None].to(tl.int64) * room + place, hit, near & (place < room))


def keep_near(queries: Tensor, items: Tensor, limits: Tensor, counts: Tensor, hits: Tensor, bits: int) -> None:
    """Appends to each query's hits the items whose product with it reaches its limit, in any order.

    Args:
        queries: ``queries width`` of +1, -1 and 0 behind the code, ``int8``; the width is 32 or a multiple of 64.
        items: ``items width``.
        limits: ``queries``, ``int32``: smallest product to keep.
        counts: ``queries``, ``int32``, zeros: receives how many reached it, those without room too.
        hits: ``queries room``: receives ``distance << 40 | item``.
        bits: Code length.
    """
    width = queries.shape[1]
    grid = (triton.cdiv(len(items), COLUMNS * _STEPS), triton.cdiv(len(queries), ROWS))
    _keep[grid](
        queries,
        items,
        limits,
        counts,
        hits,
        len(queries),
        len(items),
        hits.shape[1],
        bits,
        width,
        min(width, 64),
        ROWS,
        COLUMNS,
        _STEPS,
    )
