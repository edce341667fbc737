# mypy: disallow-untyped-decorators=False
"""The popcount kernel for AVX-512 and AVX2: differing bits of a query and 512 codes at a time, in LLVM for `kernel`.

Codes lie as bit planes: of 512 codes, a slab, plane b holds bit b of every one, so that one logic instruction works
on as many codes as a register has bits. Bits are counted by carry-save adders (Harley and Seal): three planes of equal
weight become their sum and their carry, two instructions with AVX-512 (``vpternlogq``), five with AVX2, and no
population count at all. Where many queries scan a slab, the first layer of adders, for each of the eight ways in
which a query may flip three planes, is computed once and looked up by all. The count begins at an offset from which it
overflows beyond the query's limit, so that its last plane alone says which codes are near enough.

numba's cache looks at the file of a compiled function alone: a change here takes effect once `kernel` changes.
"""

from collections.abc import Callable, Iterator
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from fico.search.hamming.bit_planes import BITS, LANES, SLAB
from fico.search.hamming.llvm_vectors import (
    I8,
    I32,
    I64,
    call,
    data_of,
    intrinsic,
    load,
    moved,
    prefetch,
    splat,
    store,
)

TRIPLES = BITS // 3
LOOKUPS = TRIPLES + 1  # the last plane stands alone
PAIR = 2 * LANES  # integers of a sum and its carry
LAYER = (8 * TRIPLES + 1) * PAIR  # integers of the shared layer
_SUM, _CARRY = 0b10010110, 0b11101000  # truth tables: bit 4 a + 2 b + c is the value at a, b, c


def _add(context: Any, builder: Any, a: Any, b: Any, c: Any, flips: int = 0) -> tuple[Any, Any]:
    """Sum and carry of three planes; bits 4, 2 and 1 of ``flips`` complement the first, second and third."""
    if "+avx512f" in context.codegen().magic_tuple()[2]:  # any function of three planes is one instruction
        name = f"llvm.x86.avx512.pternlog.q.{BITS * LANES}"
        tables = (sum((truth >> (row ^ flips) & 1) << row for row in range(8)) for truth in (_SUM, _CARRY))
        total, carry = (call(builder, name, a.type, [a, b, c, ir.Constant(I32, table)]) for table in tables)
        return total, carry
    a, b, c = (builder.not_(plane) if flips & bit else plane for plane, bit in ((a, 4), (b, 2), (c, 1)))
    differ = builder.xor(a, b)
    carry = builder.or_(builder.and_(differ, c), builder.and_(builder.not_(differ), a))
    return builder.xor(differ, c), carry


class _Counter:
    """A sum of planes: a tree of adders, written while the planes come in.

    Args:
        bits: Weights that are kept; the sum must not overflow the last of them.
    """

    def __init__(self, context: Any, builder: Any, bits: int) -> None:
        self._context, self._builder = context, builder
        self._open: list[list[Any]] = [[] for _ in range(bits)]  # planes of each weight, at most two

    def push(self, plane: Any, weight: int = 0) -> None:
        """Adds a plane."""
        if weight == len(self._open):
            return
        self._open[weight].append(plane)
        if len(self._open[weight]) == 3:
            total, carry = _add(self._context, self._builder, *self._open[weight])
            self._open[weight] = [total]
            self.push(carry, weight + 1)

    def planes(self) -> list[Any]:
        """The sum, a plane for each weight."""
        for weight, planes in enumerate(self._open):
            if len(planes) == 2:
                self._open[weight] = [self._builder.xor(*planes)]
                self.push(self._builder.and_(*planes), weight + 1)
        return [plane for (plane,) in self._open]


def _plane(builder: Any, slab: Any, number: int) -> Any:
    """A plane of a slab; that of the next slab is prefetched, since processors do not prefetch beyond a page."""
    prefetch(builder, moved(builder, slab, SLAB + LANES * number))
    return load(builder, moved(builder, slab, LANES * number), LANES)


@intrinsic
def share(typing_context: Any, planes: Any, slab: Any, layer: Any) -> Any:
    """First layer of adders of a slab: sum and carry of each three planes under every flip of them."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source = data_of(context, builder, signature, arguments, 0, builder.mul(arguments[1], ir.Constant(I64, SLAB)))
        target = data_of(context, builder, signature, arguments, 2)
        for triple in range(TRIPLES):
            a, b, c = (_plane(builder, source, 3 * triple + part) for part in (2, 1, 0))
            for flips in range(8):
                at = (8 * triple + flips) * PAIR
                for part, plane in enumerate(_add(context, builder, a, b, c, flips)):
                    store(builder, plane, moved(builder, target, at + part * LANES))
        last = _plane(builder, source, BITS - 1)
        store(builder, last, moved(builder, target, 8 * TRIPLES * PAIR))
        store(builder, builder.not_(last), moved(builder, target, 8 * TRIPLES * PAIR + LANES))
        return context.get_dummy_value()

    return types.void(planes, types.int64, layer), codegen


def _shared_pairs(context: Any, builder: Any, layer: Any, offsets: Any) -> Iterator[tuple[Any, Any]]:
    """Sums and carries of the shared layer, at the offsets of a query."""
    for lookup in range(LOOKUPS):
        pair = moved(builder, layer, builder.zext(builder.load(moved(builder, offsets, lookup)), I64))
        carry = load(builder, moved(builder, pair, LANES), LANES) if lookup < TRIPLES else None
        yield load(builder, pair, LANES), carry


def _direct_pairs(context: Any, builder: Any, planes: Any, flips: Any) -> Iterator[tuple[Any, Any]]:
    """Sums and carries of the planes themselves, each complemented where the query's bit is set."""

    def differing(plane: int) -> Any:
        flip = splat(builder, builder.load(moved(builder, flips, plane)), LANES)
        return builder.xor(_plane(builder, planes, plane), flip)

    for plane in range(0, 3 * TRIPLES, 3):
        yield _add(context, builder, *(differing(plane + part) for part in range(3)))
    yield differing(BITS - 1), None


def _counting(pairs_of: Callable[..., Iterator[tuple[Any, Any]]], entries: int, is_first: bool, is_last: bool) -> Any:
    """Makes the step that counts one word of a slab's codes for one query; a bit for each lane with a near code.

    Args:
        pairs_of: Gives the first layer's sums and carries.
        entries: Integers that describe one word of a query.
        is_first: The count begins at the query's offset; else at what the word before left in ``sums``.
        is_last: The count is over: it goes to ``found``, its last plane complemented: which codes are near enough.
    """

    @intrinsic
    def count(
        typing_context: Any,
        planes: Any,
        queries: Any,
        row: Any,
        word: Any,
        source: Any,
        start: Any,
        offsets: Any,
        sums: Any,
        found: Any,
        entry: Any,
    ) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            words = signature.args[0].count
            if (is_first and is_last) != (words == 1) or not (is_first or is_last or words > 2):
                return ir.Constant(I64, 0)  # codes of so many words have no such step, and never call it
            bits = _bits_of(words)
            data = lambda number, start: data_of(context, builder, signature, arguments, number, start)  # noqa: E731
            times = lambda value, factor: builder.mul(value, ir.Constant(I64, factor))  # noqa: E731
            query = data(1, times(builder.add(times(arguments[2], words), arguments[3]), entries))
            offset, kept = data(6, times(arguments[2], bits)), data(7, times(arguments[2], bits * LANES))
            counter = _Counter(context, builder, bits)
            for weight in range(bits):
                if is_first:
                    counter.push(splat(builder, builder.load(moved(builder, offset, weight)), LANES), weight)
                else:
                    counter.push(load(builder, moved(builder, kept, LANES * weight), LANES), weight)
            for total, carry in pairs_of(context, builder, data(4, arguments[5]), query):
                counter.push(total)
                if carry is not None:
                    counter.push(carry, 1)
            result = counter.planes()
            if is_last:
                kept = data(8, times(arguments[9], bits * LANES))
                result[-1] = builder.not_(result[-1])
            for weight, plane in enumerate(result):
                store(builder, plane, moved(builder, kept, LANES * weight))
            lanes = builder.icmp_unsigned("!=", result[-1], ir.Constant(result[-1].type, [0] * LANES))
            return builder.zext(builder.bitcast(lanes, I8), I64)

        integer = types.int64
        return integer(planes, queries, integer, integer, source, integer, offsets, sums, found, integer), codegen

    return count


_ENDS = ((True, True), (True, False), (False, False), (False, True))
shared_only, shared_first, shared_next, shared_last = (_counting(_shared_pairs, LOOKUPS, *ends) for ends in _ENDS)
direct_only, direct_first, direct_next, direct_last = (_counting(_direct_pairs, BITS, *ends) for ends in _ENDS)


def _bits_of(words: int) -> int:
    """Bits of a count: it runs to the length of a code, and one more bit marks an overflow."""
    return (BITS * words).bit_length() + 1


@intrinsic
def count_bits(typing_context: Any, planes: Any) -> Any:
    """Bits of a count of codes with that many words."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(I64, _bits_of(signature.args[0].count))

    return types.int64(planes), codegen


@intrinsic
def trailing_zeros(typing_context: Any, word: Any) -> Any:
    """Position of the lowest bit that is set."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.int64), codegen
