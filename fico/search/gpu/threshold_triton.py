# mypy: disable-error-code="misc,no-untyped-def,untyped-decorator,no-untyped-call,no-any-return,operator"
# ruff: noqa: ANN001, ANN202
"""The few products that reach a limit, out of a block of all, in Triton: the block is read once.

Importing this module imports Triton. With ``TRITON_INTERPRET=1`` set before, the kernel runs on the CPU, slowly.
"""

import triton
import triton.language as tl
from torch import Tensor

_CHUNK = 2048  # products that a program reads together


@triton.jit
def _keep_kernel(products, limits, counts, values, items, columns, stride, first, capacity, chunk: tl.constexpr):
    query = tl.program_id(0).to(tl.int64)  # only the first axis holds more than 65,535 programs
    column = tl.program_id(1) * chunk + tl.arange(0, chunk)
    product = tl.load(products + query * stride + column, column < columns, float("-inf"))
    near = (product >= tl.load(limits + query)) & (column < columns)
    if tl.max(near.to(tl.int32), 0) > 0:
        ones = tl.full((chunk,), 1, tl.int32)
        slot = tl.atomic_add(counts + query + tl.zeros((chunk,), tl.int32), ones, near, sem="relaxed")
        fits = near & (slot < capacity)
        tl.store(values + query * capacity + slot, product, fits)
        tl.store(items + query * capacity + slot, first + column, fits)


def keep(products: Tensor, limits: Tensor, first: int, counts: Tensor, values: Tensor, items: Tensor) -> None:
    """Appends to each query what reaches its limit, in any order; what exceeds the capacity is only counted.

    Args:
        products: ``queries block``, ``float16``.
        limits: ``queries``, ``float16``.
        first: Item of the block's first column.
        counts: ``queries``, ``int32``: how many there are already.
        values: ``queries capacity``, ``float16``: receives the products.
        items: ``queries capacity``, ``int32``: receives the items.
    """
    rows, columns = products.shape
    grid = (rows, triton.cdiv(columns, _CHUNK))
    _keep_kernel[grid](
        products,
        limits.contiguous(),
        counts,
        values,
        items,
        columns,
        products.stride(0),
        first,
        values.shape[1],
        _CHUNK,
    )
