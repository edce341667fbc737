"""How often each item of a direction is among the first k of the queries, counted by both engines."""

from threading import Lock

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from fico.metrics.hubness import UNIT, K
from fico.metrics.kernels.occurrences import count_floats, highest_scores

_PIECE = 2**24  # scores that are searched for ties at a time


class CpuOccurrences:
    """Occurrences in units of ``UNIT``, added by several threads.

    Args:
        items: Size of the gallery.
    """

    def __init__(self, items: int) -> None:
        self.counts = np.zeros(items, dtype=np.int64)
        self.k, self._lock = min(K, items), Lock()

    def add_scores(
        self, scores: Float[np.ndarray, "queries items"], lowest: Float[np.ndarray, " queries"] | None
    ) -> None:
        """Adds those of some queries, whose last score before the cut-off is searched where it is not given."""
        if lowest is None:
            lowest = np.empty(len(scores), dtype=scores.dtype)
            highest_scores(scores, self.k, lowest)
        counts = np.zeros_like(self.counts)
        count_floats(scores, lowest, self.k, counts, np.empty_like(counts))
        self.add(counts)

    def add(self, counts: Int64[np.ndarray, " items"]) -> None:
        """Adds what a kernel counted."""
        with self._lock:
            self.counts += counts


class TensorOccurrences:
    """The same on a torch device.

    Args:
        items: Size of the gallery.
        device: Where the scores are.
    """

    def __init__(self, items: int, device: torch.device) -> None:
        self._counts = torch.zeros(items, dtype=torch.int64, device=device)
        self._k = min(K, items)

    @property
    def counts(self) -> np.ndarray:
        """Occurrences of each item, in units of ``UNIT``."""
        return self._counts.cpu().numpy()

    def add_scores(self, scores: Float[Tensor, "queries items"]) -> None:
        """Adds those of some queries."""
        k, items = self._k, scores.shape[1]
        first = scores.topk(min(k + 1, items), dim=1)
        lowest = first.values[:, k - 1 : k]
        is_certain = first.values[:, :k] > lowest
        # all of them, where no item behind the cut-off ties with the last one before it
        is_certain |= first.values[:, k:] < lowest if items > k else True
        self._counts.index_add_(0, first.indices[:, :k].flatten(), UNIT * is_certain.flatten().long())
        rest = k - is_certain.sum(dim=1)
        if len(rows := rest.nonzero()[:, 0]):
            self._share(scores, lowest, rest, rows)

    def _share(self, scores: Tensor, lowest: Tensor, rest: Tensor, rows: Tensor) -> None:
        """Shares what is left of the first k among the items that tie at the cut-off."""
        for piece in rows.split(max(1, _PIECE // scores.shape[1])):
            tied = scores[piece] == lowest[piece]
            sizes = tied.sum(dim=1)
            portions = (rest[piece] * UNIT + sizes // 2) // sizes
            queries, items = tied.nonzero(as_tuple=True)
            self._counts.index_add_(0, items, portions[queries])
