"""Ids of shards and of the whole: which items each shard holds."""

import numpy as np


class IdRanges:
    """Items distributed to shards by ranges of their ids, call by call; within a shard the order of ids stays.

    Args:
        shards: How many there are.
    """

    def __init__(self, shards: int) -> None:
        self.counts = [0] * shards
        self._pieces: list[list[tuple[int, int]]] = [[] for _ in range(shards)]  # first id in the shard, in the whole

    @property
    def total(self) -> int:
        """Items of all shards."""
        return sum(self.counts)

    def distribute(self, items: int) -> list[slice]:
        """Assigns the next items to the shards.

        Args:
            items: How many there are.

        Returns:
            Rows of these items for each shard; none where there are fewer items than shards.
        """
        first, shards, parts = self.total, len(self.counts), []
        for shard in range(shards):
            part = slice(items * shard // shards, items * (shard + 1) // shards)
            if part.stop > part.start:
                self._pieces[shard].append((self.counts[shard], first + part.start))
                self.counts[shard] += part.stop - part.start
            parts.append(part)
        return parts

    def to_whole(self, shard: int, ids: np.ndarray) -> np.ndarray:
        """Ids of the whole from those within a shard; -1, which stands for no item, stays."""
        inner, whole = np.array(self._pieces[shard], np.int64).T
        piece = np.maximum(np.searchsorted(inner, ids, side="right") - 1, 0)
        return np.where(ids < 0, ids, ids - inner[piece] + whole[piece])

    def chosen(self, mask: np.ndarray) -> list[np.ndarray]:
        """For each shard the ids within it of the items that a mask of the whole chooses."""
        return [
            np.flatnonzero(mask[self.to_whole(shard, np.arange(count))]) if count else np.empty(0, np.int64)
            for shard, count in enumerate(self.counts)
        ]

    def held(self) -> "IdRanges":
        """Without the shards that hold nothing."""
        kept = [shard for shard, count in enumerate(self.counts) if count]
        ranges = IdRanges(len(kept))
        ranges.counts = [self.counts[shard] for shard in kept]
        ranges._pieces = [self._pieces[shard] for shard in kept]
        return ranges

    def state(self) -> dict[str, list[object]]:
        """What JSON can hold."""
        return {"counts": [*self.counts], "pieces": [*self._pieces]}

    @classmethod
    def restored(cls, state: dict[str, list[object]]) -> "IdRanges":
        """What ``state`` described."""
        ranges = cls(len(state["counts"]))
        ranges.counts = [int(count) for count in state["counts"]]  # type: ignore[call-overload]
        ranges._pieces = [[(a, b) for a, b in pieces] for pieces in state["pieces"]]  # type: ignore[attr-defined]
        return ranges
