"""Threads of torch."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """While it is open, operations of torch take the calling thread alone: faster where their tensors are small.

    Some split a thousand elements, and the threads spin for milliseconds after each, in the time of others.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
