"""Codes in lists: what the coarse-to-fine search scans, list after list."""

from typing import TYPE_CHECKING

import numpy as np

from fico.search.hamming.scan import as_words
from fico.search.index_file import Arrays

if TYPE_CHECKING:
    from fico.search.hamming.bit_planes import BitPlanes


class CodeLists:
    """Packed codes, each in one list; the lists lie one after the other as bit planes, with gaps to a multiple of 64.

    Args:
        count: Lists.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._added: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # codes, list of each, norms
        self._planes: BitPlanes | None = None
        self.items = np.empty(0, np.int64)  # item at each place, -1 in a gap
        self.starts, self.stops = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self.norms = np.empty(0, np.float32)  # by item

    @property
    def planes(self) -> "BitPlanes":
        """The codes, once ``settle`` was called."""
        assert self._planes is not None
        return self._planes

    @property
    def size_bytes(self) -> int:
        """Bytes in memory."""
        waiting = sum(part.nbytes for added in self._added for part in added)
        held = sum(part.nbytes for part in (self.items, self.starts, self.stops, self.norms))
        return waiting + held + (0 if self._planes is None else self._planes.nbytes)

    def add(self, codes: np.ndarray, lists: np.ndarray, norms: np.ndarray) -> None:
        """Takes rows of bytes, the list of each, and per item what the rerank divides by or takes off."""
        self._added.append((codes, lists, norms))

    def settle(self) -> None:
        """Puts the codes added since the last search into their lists."""
        if not self._added:
            return
        codes, lists, norms = (np.concatenate(parts) for parts in zip(*self._added, strict=True))
        self._added = []
        words, items = as_words(codes), len(self.items[self.items >= 0]) + np.arange(len(codes))
        if self._planes is not None:
            held = self.state()
            words, items = np.concatenate([held["words"], words]), np.concatenate([held["items"], items])
            lists = np.concatenate([np.repeat(np.arange(self.count), held["counts"]), lists])
        self._lay(words, items, lists)
        self.norms = np.concatenate([self.norms, norms])

    def _lay(self, words: np.ndarray, items: np.ndarray, lists: np.ndarray) -> None:
        """Puts codes into their lists, in the order in which they come."""
        from fico.search.hamming.bit_planes import BITS, BitPlanes

        counts = np.bincount(lists, minlength=self.count)
        room = -(-counts // BITS) * BITS
        self.starts = np.cumsum(room) - room
        self.stops = self.starts + counts
        places = np.empty(len(lists), np.int64)
        gaps = np.repeat(self.starts - (np.cumsum(counts) - counts), counts)
        places[np.argsort(lists, kind="stable")] = gaps + np.arange(len(lists))
        self.items = np.full(int(room.sum()), -1, np.int64)
        self.items[places] = items
        spread = np.zeros((len(self.items), words.shape[1]), np.uint64)
        spread[places] = words
        self._planes = BitPlanes(words.shape[1])
        self._planes.extend([spread], len(spread))

    def state(self) -> Arrays:
        """Arrays for an index file: codes and items in the order of their lists, and how many each list has."""
        self.settle()
        is_held = self.items >= 0
        words, counts = self.planes.words()[is_held], self.stops - self.starts
        return {"words": words, "items": self.items[is_held], "counts": counts, "norms": self.norms}

    @classmethod
    def restored(cls, arrays: Arrays) -> "CodeLists":
        """What ``state`` described."""
        lists = cls(len(arrays["counts"]))
        lists._lay(arrays["words"], arrays["items"], np.repeat(np.arange(lists.count), arrays["counts"]))
        lists.norms = arrays["norms"]
        return lists
