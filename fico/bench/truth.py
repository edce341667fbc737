"""Exact nearest items where the items come in blocks and never lie in memory together."""

from collections.abc import Iterable, Sequence

import numpy as np
from torch import Tensor

from fico.bench.recall import recalls
from fico.search.base import merge
from fico.search.brute_force import as_operand, scores, top_k
from fico.similarity import Similarity
from fico.types import Ranking


class StreamedTruth:
    """The k exact nearest items of some queries, block after block.

    Args:
        queries: ``queries dim``, ``float32``, where the items will lie.
        k: Cut-off.
        similarity: Measure.
    """

    def __init__(self, queries: np.ndarray | Tensor, k: int, similarity: Similarity = "inner") -> None:
        self._queries, self._k, self._similarity = as_operand(queries, similarity), k, similarity
        self._best: Ranking | None = None
        self._seen = 0

    def add(self, block: np.ndarray | Tensor) -> None:
        """Takes the next items."""
        values = scores(self._queries, as_operand(block, self._similarity), self._similarity)
        found = top_k(values, min(self._k, len(block)), self._seen)
        self._best = found if self._best is None else merge([self._best, found], self._k)
        self._seen += len(block)

    @property
    def ranking(self) -> Ranking:
        """The exact ranking of everything that was added, ties by lowest item."""
        assert self._best is not None
        return self._best


def exact_by_stream(blocks: Iterable[np.ndarray], queries: np.ndarray, k: int) -> Ranking:
    """The k items of largest inner product, of items that come in blocks."""
    truth = StreamedTruth(queries, k)
    for block in blocks:
        truth.add(block)
    return truth.ranking


def recalls_by_item(found: Ranking, exact: np.ndarray, ks: Sequence[int]) -> tuple[dict[int, float], dict[int, float]]:
    """``recalls`` where the exact items are known and their scores are not; ties are ignored.

    Args:
        found: What the index gave; its first queries are those of ``exact``.
        exact: ``queries k``: exact nearest items, best first.
        ks: Cut-offs.

    Returns:
        ``top1_in_k`` and ``overlap_at_k``.
    """
    order = np.argsort(exact, axis=1)
    got = np.full((len(exact), found.indices.shape[1]), -np.inf)
    for row, items in enumerate(found.indices[: len(exact)]):
        known = exact[row, order[row]]
        at = np.minimum(np.searchsorted(known, items), len(known) - 1)
        got[row] = np.where(known[at] == items, -order[row, at].astype(float), -np.inf)
    ranks = np.broadcast_to(-np.arange(exact.shape[1]), exact.shape)
    return recalls(got, ranks, ks)
