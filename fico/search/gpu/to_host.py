"""Copies of results from a device to host memory, while the device computes the next ones."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from fico.types import Ranking
from fico.util.resources import require_memory

_WORKERS = 8  # fresh memory is slow to touch: several threads share it
Tile = tuple[slice, Tensor, Tensor]  # which queries, their scores and items


def to_host(tiles: Iterator[Tile], queries: int, k: int, scores: type[np.generic] = np.float32) -> Ranking:
    """Collects the results of tiles of queries in one ranking.

    Args:
        tiles: Results in the order in which the device makes them; not more than a few wait at a time.
        queries: All of them.
        k: Items of each query.
        scores: Type of the scores.

    Raises:
        UsageError: Memory is short for the result (the predicted size is named).
    """
    size = queries * k * (np.dtype(scores).itemsize + 8)
    require_memory(size, f"the {k} nearest items of {queries} queries", "search fewer queries at a time")
    found = Ranking(np.empty((queries, k), scores), np.empty((queries, k), np.int64))
    with ThreadPoolExecutor(_WORKERS) as pool:
        waiting: deque[Future[None]] = deque()
        for rows, values, items in tiles:
            while len(waiting) >= _WORKERS:
                waiting.popleft().result()
            ready = torch.cuda.Event() if values.is_cuda else None
            if ready is not None:
                ready.record(torch.cuda.current_stream(values.device))
            for source, target in ((values, found.scores[rows]), (items, found.indices[rows])):
                waiting.append(pool.submit(_copy, source, target, ready))
        for copied in waiting:
            copied.result()
    return found


def _copy(source: Tensor, target: np.ndarray, ready: torch.cuda.Event | None) -> None:
    into = torch.from_numpy(target)
    if ready is None:
        into.copy_(source)
        return
    stream = torch.cuda.Stream(source.device)  # of its own: it must not wait for the tiles that come after
    with torch.cuda.stream(stream):  # which makes its device the current one of this thread
        staged = torch.empty(source.shape, dtype=source.dtype, pin_memory=True)  # pages that the device writes itself
        stream.wait_event(ready)
        staged.copy_(source, non_blocking=True)
        stream.synchronize()
    into.copy_(staged)
