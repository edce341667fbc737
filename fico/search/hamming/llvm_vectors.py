"""Vector operations for compiled code: LLVM written from Python where numba has no such operation."""

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import extending
from numba.core import cgutils

# numba's type of it counts the typing context among a caller's arguments.
intrinsic: Any = extending.intrinsic

I8, I32, I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)


def splat(builder: Any, value: Any, lanes: int) -> Any:
    """One 64-bit integer in every lane of a vector."""
    empty = ir.Constant(ir.VectorType(I64, lanes), ir.Undefined)
    first = builder.insert_element(empty, value, ir.Constant(I32, 0))
    return builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(I32, lanes), [0] * lanes))


def call(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    """Calls one of LLVM's own functions on vectors, which llvmlite cannot declare by itself."""
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def data_of(context: Any, builder: Any, signature: Any, arguments: Any, number: int, start: Any = 0) -> Any:
    """Address of an element of an array argument, counted from its first one."""
    data = context.make_array(signature.args[number])(context, builder, arguments[number]).data
    return moved(builder, data, start)


def moved(builder: Any, data: Any, count: Any) -> Any:
    """The address that many elements further on."""
    return builder.gep(data, [ir.Constant(I64, count) if isinstance(count, int) else count])


def load(builder: Any, data: Any, lanes: int) -> Any:
    """The 64-bit integers at an address."""
    value = builder.load(builder.bitcast(data, ir.VectorType(I64, lanes).as_pointer()))
    value.align = 8
    return value


def store(builder: Any, value: Any, data: Any) -> None:
    """Writes a vector of 64-bit integers to an address."""
    builder.store(value, builder.bitcast(data, value.type.as_pointer())).align = 8


def prefetch(builder: Any, data: Any) -> None:
    """Prefetches the cache line at an address, which need not exist."""
    flags = [ir.Constant(I32, value) for value in (0, 3, 1)]  # read, into every cache, data
    call(builder, "llvm.prefetch.p0", ir.VoidType(), [builder.bitcast(data, I8.as_pointer()), *flags])
