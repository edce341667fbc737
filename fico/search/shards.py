"""Indexes too large for one piece: items by ranges of their ids, results merged exactly."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, Self, cast

import numpy as np

from fico.errors import UsageError
from fico.search.base import Embeddings, Searcher, check_k, merge, to_array
from fico.search.id_ranges import IdRanges
from fico.search.index_file import read_index, write_index
from fico.types import Ranking

_PLAN = "shards.index"


class Shardable(Searcher, Protocol):
    """A searcher that can be one of several: what is learnt is learnt once and shared."""

    def fit(self, items: Embeddings) -> Self:
        """Learns codes and partitions."""
        ...

    def empty(self) -> Self:
        """A searcher with the same settings and what was learnt, without items."""
        ...

    def save(self, path: str | Path) -> None:
        """Writes the index to one file."""
        ...


class ShardedSearch:
    """Several searchers that answer as one.

    Each ``add`` deals its items to the shards by ranges of their ids; a mapped array is dealt out without being read.
    What searchers learn, they learn from all items of the first ``add``. So 1 shard and n give the same result,
    ties included, wherever the searcher is exact and orders ties by lowest item; of float products the last bit may
    depend on the size of a block. A coarse-to-fine search looks at its ``candidates`` in every shard: n shards find
    a little more than one.

    Args:
        make: Makes the empty searcher that every shard is a copy of.
        shards: How many.

    Raises:
        UsageError: ``shards`` is below 1.
    """

    def __init__(self, make: Callable[[], Shardable], shards: int) -> None:
        if shards < 1:
            raise UsageError(f"shards is {shards}; give 1 or more")
        self._pattern = make()
        self._shards: list[Shardable] = []
        self._ranges = IdRanges(shards)

    @property
    def name(self) -> str:
        """``<shards> x <name of the searcher>``."""
        return f"{len(self._ranges.counts)} x {(self._shards or [self._pattern])[0].name}"

    @property
    def size_bytes(self) -> int:
        """Bytes of all shards."""
        return sum(shard.size_bytes for shard in self._shards)

    def fit(self, items: Embeddings) -> "ShardedSearch":
        """Learns, once for all shards, what the searchers learn; ``add`` does it where this was not called.

        Raises:
            DataError: What the searcher's ``fit`` says.
            UsageError: Items were added already.
        """
        if self._shards:
            raise UsageError("the shards hold items already; call fit before add")
        self._pattern.fit(items)
        self._shards = [self._pattern.empty() for _ in self._ranges.counts]
        return self

    def add(self, items: Embeddings) -> None:
        """Deals the items to the shards.

        Raises:
            DataError: What the searcher's ``add`` says.
            UsageError: The same.
        """
        array = _array(items)
        if not self._shards:
            self.fit(array)
        with self._ranges.dealt(len(array)) as parts:
            for shard, part in zip(self._shards, parts, strict=True):
                if part.stop > part.start:
                    shard.add(array[part])

    def search(self, queries: Embeddings, k: int) -> Ranking:
        """The k nearest items of all shards.

        Raises:
            UsageError: Nothing was added or an ``add`` failed, or k is below 1 or above the number of items.
            DataError: Queries of another width, or with NaN.
        """
        k = check_k(k, self._ranges.total)
        self._ranges.check_whole()
        best: Ranking | None = None
        for number, count in enumerate(self._ranges.counts):
            if count:
                found = self._shards[number].search(queries, min(k, count))
                found = Ranking(found.scores, self._ranges.to_whole(number, found.indices))
                best = found if best is None else merge([best, found], k)
        assert best is not None
        return best

    def save(self, folder: str | Path) -> None:
        """Writes one file for each shard that holds items, and one that says which, which comes last.

        Raises:
            UsageError: Nothing was added, or an ``add`` failed.
        """
        check_k(1, self._ranges.total)
        self._ranges.check_whole()
        folder = Path(folder)
        held = [shard for shard, count in zip(self._shards, self._ranges.counts, strict=True) if count]
        for number, shard in enumerate(held):
            shard.save(folder / f"shard{number}.index")
        write_index(folder / _PLAN, "shards", {"ranges": self._ranges.held().state()}, {})

    @classmethod
    def load(cls, folder: str | Path) -> "ShardedSearch":
        """Reads what ``save`` wrote.

        Raises:
            DataError: A file is missing, cut off, changed, or of another version or no index.
        """
        from fico.search.saved import load_index

        folder = Path(folder)
        ranges = IdRanges.restored(read_index(folder / _PLAN, "shards")[0]["ranges"])
        paths = [folder / f"shard{number}.index" for number in range(len(ranges.counts))]
        loaded = [cast(Shardable, load_index(path)) for path in paths]
        sharded = cls(lambda: loaded[0], len(loaded))
        sharded._ranges, sharded._shards = ranges, loaded
        return sharded


def _array(items: Embeddings) -> np.ndarray:
    """An array, a mapped one as it is."""
    return items if isinstance(items, np.memmap) else to_array(items, "items")
