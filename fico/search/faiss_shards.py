"""Several FAISS indexes that answer as one, in one process."""

from typing import Any

import numpy as np

from fico.search.base import import_faiss
from fico.search.id_ranges import IdRanges


class FaissShards:
    """FAISS's ``IndexShards`` or ``IndexBinaryShards`` over parts, each with ranges of the item ids.

    Args:
        parts: Trained indexes of one kind.
        ranges: Which items they hold already. None: none.

    Source:
        FAISS searches the parts, each in a thread of its own, and merges; equal distances come in any order.
    """

    is_trained = True

    def __init__(self, parts: list[Any], ranges: IdRanges | None = None) -> None:
        self.parts, self.ranges = parts, ranges or IdRanges(len(parts))
        self.d = parts[0].d

    @property
    def ntotal(self) -> int:
        """Items of all parts."""
        return self.ranges.total

    def add(self, rows: np.ndarray) -> None:
        """Distributes rows to the parts."""
        for part, piece in zip(self.parts, self.ranges.distribute(len(rows)), strict=True):
            part.add(rows[piece])

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Distances and items, as FAISS gives them."""
        faiss = import_faiss()
        kind = faiss.IndexBinaryShards if isinstance(self.parts[0], faiss.IndexBinary) else faiss.IndexShards
        whole = kind(self.d, True, True)  # a thread each; ids count on from part to part
        for part in self.parts:
            whole.add_shard(part)
        values, found = whole.search(queries, k)
        items, first = np.full_like(found, -1), 0
        for number, count in enumerate(self.ranges.counts):
            within = (found >= first) & (found < first + count)
            items[within] = self.ranges.to_whole(number, found[within] - first) if count else -1
            first += count
        return values, items


def parts_of(index: Any) -> list[Any]:
    """The FAISS indexes behind one."""
    return index.parts if isinstance(index, FaissShards) else [index]


def copies(index: Any, count: int) -> list[Any]:
    """Copies of an index, with its training and its items."""
    faiss = import_faiss()
    clone = faiss.clone_binary_index if isinstance(index, faiss.IndexBinary) else faiss.clone_index
    return [clone(index) for _ in range(count)]


def to_bytes(index: Any) -> np.ndarray:
    """An index as FAISS writes it."""
    faiss = import_faiss()
    write = faiss.serialize_index_binary if isinstance(index, faiss.IndexBinary) else faiss.serialize_index
    return np.asarray(write(index))


def from_bytes(data: np.ndarray, is_binary: bool) -> Any:
    """What ``to_bytes`` wrote."""
    faiss = import_faiss()
    return (faiss.deserialize_index_binary if is_binary else faiss.deserialize_index)(data)
