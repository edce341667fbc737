"""Codes in lists: what the coarse-to-fine search scans, list after list."""

import numpy as np

from fico.search.index_file import Arrays
from fico.search.popcount_scan import as_words

_ARRAYS = ("columns", "places", "starts", "norms")


class CodeLists:
    """Packed codes, each in one list, word-major and list after list.

    Args:
        count: Lists.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._added: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # codes, list of each, norms
        self.columns = np.empty((0, 0), np.uint64)  # "words codes", padded for the scan
        self.places, self.starts = np.empty(0, np.int64), np.empty(0, np.int64)
        self.norms = np.empty(0, np.float32)  # by item

    @property
    def size_bytes(self) -> int:
        """Bytes in memory."""
        held = [getattr(self, name) for name in _ARRAYS]
        return sum(part.nbytes for part in [*held, *(part for added in self._added for part in added)])

    def add(self, codes: np.ndarray, lists: np.ndarray, norms: np.ndarray) -> None:
        """Takes rows of bytes, the list of each, and per item what the rerank divides by or takes off."""
        self._added.append((codes, lists, norms))

    def settle(self) -> None:
        """Puts the codes added since the last search into their lists."""
        from fico.search.popcount_kernel import GROUP

        if not self._added:
            return
        codes, lists, norms = (np.concatenate(parts) for parts in zip(*self._added, strict=True))
        self._added = []
        before = len(self.places)
        held = np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts)) if before else lists[:0]
        order = np.argsort(np.concatenate([held, lists]), kind="stable")
        words = as_words(codes)
        if before:
            words = np.concatenate([self.columns[:, :before].T, words])
        columns = np.zeros((words.shape[1], len(order) + GROUP), np.uint64)
        for word, column in enumerate(columns):
            np.take(words[:, word], order, out=column[: len(order)])
        self.columns = columns
        self.places = np.concatenate([self.places, before + np.arange(len(lists))])[order]
        counts = np.bincount(np.concatenate([held, lists]), minlength=self.count)
        self.starts = np.concatenate([[0], np.cumsum(counts)])
        self.norms = np.concatenate([self.norms, norms])

    def state(self) -> Arrays:
        """Arrays for an index file."""
        self.settle()
        return {name: getattr(self, name) for name in _ARRAYS}

    @classmethod
    def restored(cls, count: int, arrays: Arrays) -> "CodeLists":
        """What ``state`` described."""
        lists = cls(count)
        for name in _ARRAYS:
            setattr(lists, name, arrays[name])
        return lists
