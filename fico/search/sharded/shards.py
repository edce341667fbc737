"""Indexes too large for one piece: items by ranges of their ids, results merged exactly."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, Self, cast

import numpy as np

from fico.codes import HashCodes
from fico.errors import DataError, UsageError
from fico.search.base import Ids, UpdatableSearcher, check_k, merge
from fico.search.id_ranges import IdRanges
from fico.search.index_file import index_digest, read_index, write_index
from fico.search.item_ids import ItemIds, Mask
from fico.search.saved import load_file
from fico.types import Ranking
from fico.util.arrays import Embeddings, to_array
from fico.util.damaged import readable

_PLAN = "shards.index"


class Shardable(UpdatableSearcher, Protocol):
    """A searcher that can be one of several: what is trained is trained once and shared."""

    def fit(self, items: Embeddings | HashCodes) -> Self:
        """Trains codes and partitions."""
        ...

    def clone_empty(self) -> Self:
        """A searcher with the same parameters and all that was trained, without items."""
        ...


class ShardedSearch:
    """Several searchers that answer as one.

    Each ``add`` distributes its items to the shards by ranges of their ids; a mapped array is not read for that.
    What searchers train, they train on all items of the first ``add``. So 1 shard and n give the same result,
    ties included, wherever the searcher is exact and orders ties by lowest item; of float products the last bit may
    depend on the size of a block. A coarse-to-fine search compares its ``candidates`` in every shard: n shards find
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
        self._template = make()
        self._shards: list[Shardable] = []
        self._ranges = IdRanges(shards)
        self._ids = ItemIds()

    @property
    def name(self) -> str:
        """``<shards> x <name of the searcher>``."""
        return f"{len(self._ranges.counts)} x {(self._shards or [self._template])[0].name}"

    @property
    def size_bytes(self) -> int:
        """Bytes of all shards."""
        return self._ids.nbytes + sum(shard.size_bytes for shard in self._shards)

    def fit(self, items: Embeddings | HashCodes) -> "ShardedSearch":
        """Trains, once for all shards, what the searchers train; ``add`` does it where this was not called.

        Raises:
            DataError: What the searcher's ``fit`` says.
            UsageError: Items were added already.
        """
        if self._shards:
            raise UsageError("the shards hold items already; call fit before add")
        self._template.fit(items)
        self._shards = [self._template.clone_empty() for _ in self._ranges.counts]
        return self

    def add(self, items: Embeddings | HashCodes, *, ids: Ids | None = None) -> None:
        """Distributes the items to the shards.

        Args:
            items: What the searchers take.
            ids: Their ids, whole numbers from 0 or str, with every ``add`` or with none. None: numbers from 0 on.

        Raises:
            DataError: What the searcher's ``add`` says; ids that do not fit.
            UsageError: The same.
        """
        array = _array(items)
        with self._ids.changing():
            if not self._shards:
                self.fit(array)
            with self._ids.taking(len(array), ids):
                for shard, part in zip(self._shards, self._ranges.distribute(len(array)), strict=True):
                    if part.stop > part.start:
                        shard.add(array[part])

    def remove(self, ids: Ids) -> None:
        """Makes items unfindable; their memory is free once the index is built again.

        Raises:
            DataError: An id is not held (it is named); nothing is removed then.
        """
        self._ids.remove(ids)

    def search(self, queries: Embeddings | HashCodes, k: int, *, allowed: Ids | None = None) -> Ranking:
        """The k nearest items of all shards.

        Args:
            queries: What the searchers take.
            k: Items of each query.
            allowed: Ids of the items that may be found. None: all.

        Raises:
            UsageError: Nothing was added or an ``add`` failed, or k is below 1 or above the number of items that may be
                found.
            DataError: Queries of another width, or with NaN.
        """
        with self._ids.searching(k, allowed) as (k, mask):
            best: Ranking | None = None
            for number, count, inner in searched_shards(self._ranges, mask):
                found = self._shards[number].search(queries, min(k, count), allowed=inner)
                found = Ranking(found.scores, self._ranges.to_whole(number, found.indices))
                best = found if best is None else merge([best, found], k)
            assert best is not None
            return self._ids.named(best)

    def save(self, folder: str | Path) -> None:
        """Writes one file for each shard that holds items, and one that says which, which comes last.

        Raises:
            UsageError: Nothing was added, or an ``add`` failed.
        """
        with saved_shards(folder, self._ranges, self._ids) as files:
            for number, path in files:
                self._shards[number].save(path)

    @classmethod
    def load(cls, folder: str | Path) -> "ShardedSearch":
        """Reads what ``save`` wrote.

        Raises:
            DataError: A file is missing, cut off, changed, or of another version or no index.
        """
        ranges, ids = read_plan(folder)
        loaded = [cast(Shardable, load_file(path)) for path in shard_paths(folder, len(ranges.counts))]
        sharded = cls(lambda: loaded[0], len(loaded))
        sharded._ranges, sharded._ids, sharded._shards = ranges, ids, loaded
        return sharded


def searched_shards(ranges: IdRanges, mask: Mask | None) -> list[tuple[int, int, np.ndarray | None]]:
    """Number of each shard that holds items which may be found, how many, and their ids in it; None where all may."""
    if mask is None:
        return [(number, count, None) for number, count in enumerate(ranges.counts) if count]
    return [(number, len(inner), inner) for number, inner in enumerate(ranges.chosen(mask)) if len(inner)]


def shard_paths(folder: str | Path, count: int) -> list[Path]:
    """The file of each saved shard."""
    return [Path(folder) / f"shard{number}.index" for number in range(count)]


@contextmanager
def saved_shards(folder: str | Path, ranges: IdRanges, ids: ItemIds) -> Iterator[list[tuple[int, Path]]]:
    """The shards that hold items, each with the file that it is to be saved in.

    The plan, which says what each of them holds, is written when the block has ended well; an older one goes first.

    Raises:
        UsageError: Nothing was added, or an ``add`` failed.
    """
    check_k(1, ranges.total)
    ids.check_whole()
    plan = Path(folder) / _PLAN
    plan.unlink(missing_ok=True)
    held = [shard for shard, count in enumerate(ranges.counts) if count]
    paths = shard_paths(folder, len(held))
    yield list(zip(held, paths, strict=True))
    digests = [index_digest(path) for path in paths]
    id_settings, id_arrays = ids.state()
    write_index(plan, "shards", {"ranges": ranges.held().state(), "digests": digests, "ids": id_settings}, id_arrays)


def read_plan(folder: str | Path) -> tuple[IdRanges, ItemIds]:
    """Which items the saved shards hold, and their ids.

    Raises:
        DataError: The file is missing, cut off, changed, or of another version or no plan; or a shard is missing, or
            another than the plan names in its position.
    """
    plan = Path(folder) / _PLAN
    with readable(plan, "build the index again"):
        settings, arrays = read_index(plan, "shards")
        digests = settings.get("digests", [])  # none in a plan of version 0.1
        for path, digest in zip(shard_paths(folder, len(digests)), digests, strict=True):
            if index_digest(path) != digest:
                raise DataError(
                    f"{path} is not the shard that {_PLAN} names there: it was replaced, or exchanged with another; "
                    "copy the whole folder again or build the index again"
                )
        ranges = IdRanges.restored(settings["ranges"])
        return ranges, ItemIds.restored(settings.get("ids"), arrays, ranges.total)


def _array(items: Embeddings | HashCodes) -> np.ndarray | HashCodes:
    """An array, a mapped one as it is, or codes."""
    return items if isinstance(items, np.memmap | HashCodes) else to_array(items, "items")
