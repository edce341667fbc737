# mypy: disallow-untyped-decorators=False
"""How fast a core can compare codes at all: xor, popcount and comparison of codes that lie in its first cache."""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types

from fico.search.hamming.llvm_vectors import (
    I64,
    call,
    data_of,
    intrinsic,
    load,
    moved,
    splat,
)

_WORDS = 1024  # 8 KB
_STEP = 16  # vectors between two turns of the loop
_LANES = 8


def _distances(context: Any, builder: Any, signature: Any, arguments: Any, start: Any) -> Any:
    """Distances of neighbouring codes from the query."""
    total: Any = None
    for word in range(signature.args[0].count):
        column = context.make_array(signature.args[0].dtype)(
            context, builder, builder.extract_value(arguments[0], word)
        )
        codes = load(builder, moved(builder, column.data, start), _LANES)
        query = builder.load(data_of(context, builder, signature, arguments, 1, word))
        bits = builder.xor(codes, splat(builder, query, _LANES))
        count = call(builder, f"llvm.ctpop.v{_LANES}i64", bits.type, [bits])
        total = count if total is None else builder.add(total, count)
    return total


@intrinsic
def _near(typing_context: Any, columns: Any, query: Any, start: Any, limit: Any) -> Any:
    """Lanes in which any of the codes from ``start`` on is within the limit; which codes they are is lost."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        answer = None
        for step in range(_STEP):
            start = builder.add(arguments[2], ir.Constant(I64, _LANES * step))
            found = _distances(context, builder, signature, arguments, start)
            within = builder.icmp_signed("<=", found, splat(builder, arguments[3], _LANES))
            answer = within if answer is None else builder.or_(answer, within)
        return builder.zext(builder.bitcast(answer, ir.IntType(_LANES)), I64)

    return types.int64(columns, query, types.int64, types.int64), codegen


@njit(nogil=True)
def _compare(columns: tuple[np.ndarray, ...], query: np.ndarray, limit: int, rounds: int) -> int:
    seen = 0
    for _ in range(rounds):
        for start in range(0, len(columns[0]), _LANES * _STEP):
            seen |= _near(columns, query, start, limit)
    return seen


def limit_call(bits: int, pairs: int, seed: int = 0) -> tuple[Callable[[], int], int]:
    """A call that compares one query with codes in the first cache, over and over.

    Args:
        bits: Code length.
        pairs: Approximate number of comparisons.
        seed: Of the codes.

    Returns:
        The call, and its comparisons.
    """
    words = -(-bits // 64)
    codes = max(_LANES * _STEP, _WORDS // words)
    drawn = np.random.default_rng(seed).integers(0, 2**63, (words, codes + 1)).astype(np.uint64)
    columns, query = tuple(np.ascontiguousarray(column[:codes]) for column in drawn), drawn[:, codes].copy()
    rounds = max(1, pairs // codes)
    return lambda: _compare(columns, query, 0, rounds), rounds * codes
