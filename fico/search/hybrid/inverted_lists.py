"""Inverted lists of codes: what the coarse-to-fine search scans, list after list."""

from typing import TYPE_CHECKING

import numpy as np

from fico.codes import HashCodes
from fico.search.index_file import Arrays

if TYPE_CHECKING:
    from fico.search.hamming.bit_planes import BitPlanes


class InvertedLists:
    """Codes, each in one list; the lists lie one after the other as bit planes, with gaps to a multiple of 64.

    Args:
        count: Lists.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._added: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # words, list of each, norms
        self._planes: BitPlanes | None = None
        self.items = np.empty(0, np.int64)  # item at each position, -1 in a gap
        self.starts, self.stops = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self.norms = np.empty(0, np.float32)  # by item

    @property
    def planes(self) -> "BitPlanes":
        """The codes, once ``build`` was called."""
        assert self._planes is not None
        return self._planes

    @property
    def size_bytes(self) -> int:
        """Bytes in memory."""
        waiting = sum(part.nbytes for added in self._added for part in added)
        held = sum(part.nbytes for part in (self.items, self.starts, self.stops, self.norms))
        return waiting + held + (0 if self._planes is None else self._planes.nbytes)

    def add(self, codes: HashCodes, lists: np.ndarray, norms: np.ndarray) -> None:
        """Adds codes, the list of each, and per item what the reranking divides by or subtracts."""
        self._added.append((codes.words, lists, norms))

    def build(self) -> None:
        """Puts the codes added since the last search into their lists."""
        if not self._added:
            return
        words, lists, norms = (np.concatenate(parts) for parts in zip(*self._added, strict=True))
        self._added = []
        items = len(self.items[self.items >= 0]) + np.arange(len(words))
        if self._planes is not None:
            held = self.state()
            words, items = np.concatenate([held["words"], words]), np.concatenate([held["items"], items])
            lists = np.concatenate([np.repeat(np.arange(self.count), held["counts"]), lists])
        self._fill(words, items, lists)
        self.norms = np.concatenate([self.norms, norms])

    def _fill(self, words: np.ndarray, items: np.ndarray, lists: np.ndarray) -> None:
        """Puts codes into their lists, in the order in which they come."""
        from fico.search.hamming.bit_planes import BITS, BitPlanes

        counts = np.bincount(lists, minlength=self.count)
        sizes = -(-counts // BITS) * BITS
        self.starts = np.cumsum(sizes) - sizes
        self.stops = self.starts + counts
        positions = np.empty(len(lists), np.int64)
        gaps = np.repeat(self.starts - (np.cumsum(counts) - counts), counts)
        positions[np.argsort(lists, kind="stable")] = gaps + np.arange(len(lists))
        self.items = np.full(int(sizes.sum()), -1, np.int64)
        self.items[positions] = items
        spread = np.zeros((len(self.items), words.shape[1]), np.uint64)
        spread[positions] = words
        self._planes = BitPlanes(words.shape[1])
        self._planes.extend([spread], len(spread))

    def choose(self, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the items lie that may be found.

        Args:
            mask: `` items``, bool.

        Returns:
            Whether the code at each position may be found, and how many may of each list.
        """
        chosen = np.append(mask, np.False_)[self.items]  # -1, a gap, takes the last
        before = np.concatenate([[0], np.cumsum(chosen)])
        return chosen, before[self.stops] - before[self.starts]

    def state(self) -> Arrays:
        """Arrays for an index file: codes and items in the order of their lists, and how many each list has."""
        self.build()
        is_held = self.items >= 0
        words, counts = self.planes.words()[is_held], self.stops - self.starts
        return {"words": words, "items": self.items[is_held], "counts": counts, "norms": self.norms}

    @classmethod
    def restored(cls, arrays: Arrays) -> "InvertedLists":
        """What ``state`` described."""
        lists = cls(len(arrays["counts"]))
        lists._fill(arrays["words"], arrays["items"], np.repeat(np.arange(lists.count), arrays["counts"]))
        lists.norms = arrays["norms"]
        return lists
