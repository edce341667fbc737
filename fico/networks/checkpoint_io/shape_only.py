"""Networks of shapes alone: names and shapes of weights at no cost of memory or time."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_DRAWN = ("normal_", "uniform_")


class _Undrawn(TorchFunctionMode):
    """Leaves out the drawing of initial values, for which PyTorch imports its compiler on the device without values."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """The tensor as it is, or what the function gives."""
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in _DRAWN:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


@contextmanager
def shape_only() -> Iterator[None]:
    """Modules that are made within hold shapes alone, on the device ``meta``."""
    with torch.device("meta"), _Undrawn():
        yield
