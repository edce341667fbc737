"""The least time that an evaluation can take on a device: necessary operations and bytes at the rates it reaches."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from fico.util.compute.precision import full_precision

_DISTANCES = 1  # bytes of a Hamming distance
_SCORE = 4  # bytes of a score
_RADIX_PASSES = 4  # of a sort of 32-bit keys by 8 bits at a time, each reads and writes every key


@dataclass(frozen=True, slots=True)
class Rates:
    """What a device was measured to do.

    Args:
        flops: Floating-point operations a second in a product of float32 matrices, without TF32.
        bytes: Bytes a second that a copy reads and writes.
    """

    flops: float
    bytes: float


@dataclass(frozen=True, slots=True)
class Necessary:
    """What cannot be left out, however an evaluation is written.

    Args:
        flops: Floating-point operations of the product of all pairs, once for both directions.
        bytes: Bytes that are read and written.
    """

    flops: float
    bytes: float

    def seconds(self, rates: Rates) -> float:
        """The slower of the two, as if they overlapped completely."""
        return max(self.flops / rates.flops, self.bytes / rates.bytes)


def necessary(work: str, images: int, captions: int, dim: int) -> Necessary:
    """Least work of an evaluation of both directions.

    All pairs are multiplied and written once, and each direction reads them once to count what ranks above the relevant
    items. Whole rankings of floats (``float``) need one radix sort a direction, those of codes a histogram of the
    distances that are read anyway.

    Args:
        work: ``float``, ``codes`` or ``R@K`` (instance metrics of floats alone).
        images: Number of images.
        captions: Number of captions.
        dim: Width of the embeddings or length of the codes.
    """
    pairs, size = images * captions, _DISTANCES if work == "codes" else _SCORE
    moved = (images + captions) * dim * (1 / 8 if work == "codes" else _SCORE) + pairs * size * 3
    if work == "float":
        moved += 2 * pairs * _SCORE * 2 * _RADIX_PASSES
    return Necessary(2.0 * pairs * dim, moved)


def measure_rates(device: str, repeats: int = 5) -> Rates:
    """Rates of a device: the best of a few products and copies, as large as fill it."""
    side, length = (8192, 2**30) if torch.device(device).type == "cuda" else (768, 2**26)
    matrix = torch.randn(side, side, device=device)
    product = torch.empty_like(matrix)
    source = torch.zeros(length // 4, device=device)
    copy = torch.empty_like(source)
    with full_precision():
        multiplied = _best_seconds(lambda: torch.mm(matrix, matrix, out=product), device, repeats)
    copied = _best_seconds(lambda: copy.copy_(source), device, repeats)
    return Rates(2 * side**3 / multiplied, 2 * length / copied)


def _best_seconds(call: Callable[[], object], device: str, repeats: int) -> float:
    seconds = []
    for _ in range(repeats + 1):  # the first warms up and is seldom the best
        begin = time.perf_counter()
        call()
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - begin)
    return min(seconds)
