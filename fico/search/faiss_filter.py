"""Nearest of some items only, from any FAISS index: it is asked for more than k until k of them may be found."""

import math
from typing import Any

import numpy as np

_CELLS = 2**24  # distances that FAISS gives in one go
_MARGIN = 1.5  # asked for at first, relative to what a draw by chance needs
_GROWTH = 4


def nearest_allowed(index: Any, queries: np.ndarray, k: int, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest of the items that may be found, as far as the index finds them.

    FAISS has selectors for some of its indexes and ignores them in others; this serves all, wrapped ones too.

    Args:
        index: FAISS index, or several that answer as one.
        queries: As FAISS takes them.
        k: Items of each query, at most as many as may be found.
        mask: `` items``, bool.

    Returns:
        Distances or products, and items, ``queries k`` each, as FAISS gives them: -1 where it finds no more.
    """
    total = len(mask)
    wanted = min(total, math.ceil(_MARGIN * k * total / int(mask.sum())) + k)
    values, items = np.empty((len(queries), k), np.float32), np.full((len(queries), k), -1, np.int64)
    pending = np.arange(len(queries))
    while len(pending):
        short = []
        for part in np.array_split(pending, min(len(pending), math.ceil(len(pending) * wanted / _CELLS))):
            some_values, some_items = index.search(queries[part], wanted)
            values[part], items[part] = _first_allowed(some_values, some_items, k, mask)
            has_more = some_items[:, -1] >= 0
            short.append(part[(items[part, -1] < 0) & has_more])
        pending = np.concatenate(short) if wanted < total else pending[:0]
        wanted = min(total, _GROWTH * wanted)
    return values, items


def _first_allowed(values: np.ndarray, items: np.ndarray, k: int, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    is_allowed = mask[items] & (items >= 0)
    order = np.argsort(~is_allowed, axis=1, kind="stable")[:, :k]
    kept = np.take_along_axis(is_allowed, order, 1)
    return np.take_along_axis(values, order, 1), np.where(kept, np.take_along_axis(items, order, 1), -1)
