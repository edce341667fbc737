"""Ids of shards and of the whole: which items each shard holds."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from fico.errors import UsageError


class IdRanges:
    """Items distributed to shards by ranges of their ids, call by call; within a shard the order of ids stays.

    Args:
        shards: How many there are.
    """

    def __init__(self, shards: int) -> None:
        self.counts = [0] * shards
        self._is_whole = True
        self._pieces: list[list[tuple[int, int]]] = [[] for _ in range(shards)]  # first id in the shard, in the whole

    @property
    def total(self) -> int:
        """Items of all shards."""
        return sum(self.counts)

    @contextmanager
    def distributing(self, items: int) -> Iterator[list[slice]]:
        """``distribute``, valid only if the block succeeds: shards that hold half of an ``add`` do not fit together.

        Raises:
            UsageError: An earlier block failed.
        """
        self.check_whole()
        self._is_whole = False
        yield self.distribute(items)
        self._is_whole = True

    def check_whole(self) -> None:
        """Refuses shards of which some hold items of an ``add`` and others do not.

        Raises:
            UsageError: A call of ``add`` failed.
        """
        if not self._is_whole:
            raise UsageError("an add() failed half-way, so the shards do not fit together; build the index again")

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
