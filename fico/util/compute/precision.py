"""Precision of matrix products, which PyTorch sets for the whole process."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_precision() -> Iterator[None]:
    """While it is open, products of single precision stay single, and products of halves are summed in single.

    What a training chose for its own speed would change ranks.
    """
    flags = torch.backends.cuda.matmul
    before, halves = torch.get_float32_matmul_precision(), flags.allow_fp16_reduced_precision_reduction
    torch.set_float32_matmul_precision("highest")
    flags.allow_fp16_reduced_precision_reduction = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        flags.allow_fp16_reduced_precision_reduction = halves
