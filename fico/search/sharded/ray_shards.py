"""Shards on several machines: one Ray actor for each range of items."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from fico.codes import HashCodes
from fico.errors import FicoError, UsageError
from fico.search.base import Ids, merge
from fico.search.id_ranges import IdRanges
from fico.search.item_ids import ItemIds
from fico.search.rows_file import RowsFile
from fico.search.saved import load_file
from fico.search.sharded.shards import Shardable, read_plan, saved_shards, searched_shards, shard_paths
from fico.types import Ranking
from fico.util.arrays import Embeddings, to_array
from fico.util.optional import requires_extra


class _Worker:
    """One shard, in a process of its own."""

    def __init__(self, searcher: Shardable | None = None) -> None:
        self._searcher = cast(Shardable, searcher)  # None until `load`

    def load(self, path: Path) -> None:
        """Reads a saved searcher."""
        self._searcher = cast(Shardable, load_file(path))

    def save(self, path: Path) -> None:
        """Writes the searcher."""
        self._searcher.save(path)

    def add(self, items: np.ndarray | HashCodes | RowsFile, part: slice) -> None:
        """Adds its range of rows, out of a file where one is named."""
        rows = items.open() if isinstance(items, RowsFile) else items
        self._searcher.add(rows[part])

    def search(self, queries: np.ndarray | HashCodes, k: int, allowed: np.ndarray | None) -> Ranking:
        """What the searcher finds."""
        return self._searcher.search(queries, k, allowed=allowed)

    def about(self) -> tuple[str, int]:
        """Name and size of the searcher."""
        return self._searcher.name, self._searcher.size_bytes


class RayShardedSearch:
    """``ShardedSearch`` with every shard in a Ray actor; the results are the same.

    Items may be given as a ``RowsFile``: then only its name travels, and each actor maps its own range of a file that
    all machines see. Close it when done, or use it in a ``with`` block.

    Args:
        make: Makes the empty searcher that every shard is a copy of.
        shards: How many actors.
        cpus: Cores that Ray reserves for each.
        address: Cluster to join. None: the one that is joined already, else a local one, which ``close`` ends.

    Raises:
        UsageError: Ray is not installed, or ``shards`` is below 1.
        FicoError: The cluster has too few cores for that many shards.
    """

    def __init__(self, make: Callable[[], Shardable], shards: int, cpus: float = 1, address: str | None = None) -> None:
        if shards < 1:
            raise UsageError(f"shards is {shards}; give 1 or more")
        self._ray = _import_ray()
        self._started = not self._ray.is_initialized()
        if self._started:
            quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "include_dashboard": False}
            self._ray.init(address=address, **(quiet if address is None else {}))
        self._make, self._cpus = make, cpus
        self._ranges, self._ids = IdRanges(shards), ItemIds()
        self._workers: list[Any] = []
        available = float(self._ray.cluster_resources().get("CPU", 0))
        if available < shards * cpus:
            self.close()
            raise FicoError(
                f"{shards} shards of {cpus:g} cores need {shards * cpus:g}, but the Ray cluster has {available:g}; "
                "take fewer shards or add machines"
            )

    @property
    def name(self) -> str:
        """``<shards> x <name of the searcher>``."""
        return f"{len(self._ranges.counts)} x {self._about()[0][0] if self._workers else self._make().name}"

    @property
    def size_bytes(self) -> int:
        """Bytes of all shards."""
        return self._ids.nbytes + sum(size for _, size in self._about())

    def fit(self, items: Embeddings | HashCodes | RowsFile) -> "RayShardedSearch":
        """Trains here, once for all shards, what the searchers train; ``add`` does it where this was not called.

        Raises:
            DataError: What the searcher's ``fit`` says.
            UsageError: Items were added already.
        """
        if self._workers:
            raise UsageError("the shards hold items already; call fit before add")
        template = self._make().fit(_opened(items))
        self._workers = [self._actor().remote(template.clone_empty()) for _ in self._ranges.counts]
        return self

    def add(self, items: Embeddings | HashCodes | RowsFile, *, ids: Ids | None = None) -> None:
        """Distributes the items to the shards.

        Args:
            items: What the searchers take, or the file of it.
            ids: Their ids, whole numbers from 0 or str, with every ``add`` or with none. None: numbers from 0 on.

        Raises:
            DataError: What the searcher's ``add`` says; ids that do not fit.
            FicoError: An actor died.
        """
        array = _opened(items)
        with self._ids.changing():
            if not self._workers:
                self.fit(items)
            with self._ids.taking(len(array), ids):
                calls = []
                for worker, part in zip(self._workers, self._ranges.distribute(len(array)), strict=True):
                    if part.stop > part.start:
                        by_file = isinstance(items, RowsFile)
                        calls.append(worker.add.remote(*((items, part) if by_file else (array[part], slice(None)))))
                self._get(calls)

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
            FicoError: An actor died.
        """
        with self._ids.searching(k, allowed) as (k, mask):
            sent = self._ray.put(_opened(queries, "queries"))  # once for all actors of a machine
            asked = searched_shards(self._ranges, mask)
            calls = [self._workers[number].search.remote(sent, min(k, count), inner) for number, count, inner in asked]
            found = [
                Ranking(result.scores, self._ranges.to_whole(number, result.indices))
                for (number, *_), result in zip(asked, self._get(calls), strict=True)
            ]
            return self._ids.named(merge(found, k))

    def save(self, folder: str | Path) -> None:
        """Lets every actor write its shard to a folder that all machines see; ``ShardedSearch.load`` reads it as well.

        Raises:
            UsageError: Nothing was added, or an ``add`` failed.
            FicoError: An actor died.
        """
        with saved_shards(Path(folder).absolute(), self._ranges, self._ids) as files:
            self._get([self._workers[number].save.remote(path) for number, path in files])

    @classmethod
    def load(cls, folder: str | Path, cpus: float = 1, address: str | None = None) -> "RayShardedSearch":
        """Lets actors read what ``save``, or that of ``ShardedSearch``, wrote.

        Args:
            folder: All machines see it.
            cpus: Cores that Ray reserves for each actor.
            address: As for the class.

        Raises:
            DataError: A file is missing, cut off, changed, or of another version or no index.
            UsageError: Ray is not installed.
            FicoError: The cluster has too few cores for that many shards.
        """
        ranges, ids = read_plan(folder)
        paths = shard_paths(Path(folder).absolute(), len(ranges.counts))
        sharded = cls(lambda: cast(Shardable, load_file(paths[0])), len(paths), cpus, address)
        sharded._ranges, sharded._ids, sharded._workers = ranges, ids, [sharded._actor().remote() for _ in paths]
        try:
            sharded._get([worker.load.remote(path) for worker, path in zip(sharded._workers, paths, strict=True)])
        except FicoError:
            sharded.close()
            raise
        return sharded

    def close(self) -> None:
        """Ends the actors, and the local cluster where this object began it."""
        for worker in self._workers:
            self._ray.kill(worker)
        self._workers = []
        if self._started:
            self._ray.shutdown()
            self._started = False

    def __enter__(self) -> "RayShardedSearch":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _actor(self) -> Any:
        return self._ray.remote(_Worker).options(num_cpus=self._cpus)

    def _about(self) -> list[tuple[str, int]]:
        return self._get([worker.about.remote() for worker in self._workers])

    def _get(self, calls: Sequence[Any]) -> list[Any]:
        try:
            return list(self._ray.get(list(calls)))
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, FicoError):
                raise error.cause from error
            raise
        except self._ray.exceptions.RayActorError as error:
            raise FicoError(f"a search shard died ({error}); start the search again") from error


def _opened(rows: Embeddings | HashCodes | RowsFile, what: str = "items") -> np.ndarray | HashCodes:
    if isinstance(rows, HashCodes):
        return rows
    return rows.open() if isinstance(rows, RowsFile) else to_array(rows, what)


def _import_ray() -> Any:
    with requires_extra("ray"):
        import ray
    return ray
