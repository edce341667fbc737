"""What a GPU can do at most: products in half precision and of bytes, and copies; and what a search holds there."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import torch

from fico.bench.timing import once

_SIDE = 8192  # of the matrices that are multiplied
_COPIED = 2**30  # bytes: many times the caches
_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class DeviceLimits:
    """Rates that libraries reach on large, simple work.

    Args:
        half: Operations per second of a product of matrices in half precision; a multiplication and an addition are
            two.
        bytes_: The same of a product of bytes.
        copied: Bytes per second that a copy within the device reads and writes.
    """

    half: float
    bytes_: float
    copied: float


def measure(device: str) -> DeviceLimits:
    """Measures them, on random values: products of zeros are quicker."""
    one, two = (torch.randn(_SIDE, _SIDE, device=device, dtype=torch.float16) for _ in range(2))
    left, right = (torch.randint(-1, 2, (_SIDE, _SIDE), device=device, dtype=torch.int8) for _ in range(2))
    source = torch.randint(0, 255, (_COPIED,), device=device, dtype=torch.uint8)
    target = torch.empty_like(source)
    products = 2 * _SIDE**3
    return DeviceLimits(
        products / _seconds(lambda: one @ two.T, device),
        products / _seconds(lambda: torch._int_mm(left, right.T), device),
        2 * _COPIED / _seconds(lambda: target.copy_(source), device),
    )


def peak_bytes(device: str) -> int:
    """Most memory of the device that was held at once since the last call, the data of the bench included."""
    if not device.startswith("cuda"):
        return 0
    peak = torch.cuda.max_memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    return peak


def _seconds(call: Callable[[], object], device: str) -> float:
    def done() -> None:
        call()
        torch.cuda.synchronize(device)

    done()
    return statistics.median(once(done)[1].seconds for _ in range(_ROUNDS))
