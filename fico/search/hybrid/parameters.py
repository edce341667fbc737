"""Parameters of the coarse-to-fine search, and their ranges."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from fico.errors import UsageError
from fico.search.gpu.device import check_device
from fico.search.hybrid.stored_rows import RowType

Metric = Literal["cosine", "inner", "euclidean"]


def check_parameters(metric: str, rows: str, bits: int, counts: Mapping[str, int | None], device: str) -> None:
    """Refuses what is out of its range.

    Args:
        metric: Of the search.
        rows: How floats are kept.
        bits: Code length.
        counts: By name what must be 1 or more; None is left to the searcher.
        device: As torch names it.

    Raises:
        UsageError: Something is (it is named).
    """
    _choice("metric", metric, get_args(Metric))
    _choice("rows", rows, get_args(RowType))
    for name, value in counts.items():
        if value is not None and value < 1:
            raise UsageError(f"{name} is {value}; give 1 or more")
    if not 8 <= bits <= 512 or bits % 8:
        raise UsageError(f"bits is {bits}; give a multiple of 8 from 8 to 512")
    check_device(device)


def _choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UsageError(f"{name} is {value!r}; choose one of {', '.join(choices)}")
