"""Scores on their way from the device: copied beside the next calls, so that a GPU never waits for the host."""

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

_AHEAD = 2  # calls that a GPU has in its queue while the host waits for an earlier one


def on_host(scores: Iterable[tuple[int, Tensor]]) -> Iterator[tuple[int, np.ndarray]]:
    """The scores of numbered tiles as arrays, in order; those of a GPU come a few tiles later than they were asked for.

    Args:
        scores: Number of a tile and its scores, computed when they are asked for.
    """
    waiting: deque[tuple[int, Tensor, torch.cuda.Event | None]] = deque()
    for tile, values in scores:
        waiting.append((tile, *_sent(values)))
        if waiting[0][2] is None or len(waiting) > _AHEAD:
            yield _arrived(*waiting.popleft())
    while waiting:
        yield _arrived(*waiting.popleft())


def _sent(values: Tensor) -> tuple[Tensor, torch.cuda.Event | None]:
    """A copy in page-locked memory and the event after which it is complete; None of a copy that waited."""
    if values.device.type != "cuda":
        return values.cpu(), None
    copy = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    copy.copy_(values, non_blocking=True)
    event = torch.cuda.Event()
    event.record(torch.cuda.current_stream(values.device))
    return copy, event


def _arrived(tile: int, values: Tensor, event: torch.cuda.Event | None) -> tuple[int, np.ndarray]:
    if event is not None:
        event.synchronize()
    return tile, values.numpy()
