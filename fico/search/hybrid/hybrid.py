"""Coarse to fine: nearest lists, nearest codes within them, floats for the few that are left."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from fico.codes import HashCodes, code_length
from fico.errors import DataError, UsageError
from fico.search.base import Ids, check_k, import_faiss, to_floats
from fico.search.gpu.device import on, to_tensor
from fico.search.hybrid.cpu import HybridOnCpu
from fico.search.hybrid.gpu import HybridOnDevice
from fico.search.hybrid.memory_check import require_resources
from fico.search.hybrid.parameters import Metric, check_parameters
from fico.search.hybrid.stored_rows import RowType, StoredRows
from fico.search.index_file import read_index, write_index
from fico.search.item_ids import ItemIds
from fico.search.itq import ITQ, draw_rows
from fico.types import Ranking
from fico.util.arrays import Embeddings, owned
from fico.util.resources import cores


class HybridSearch:
    """Searches with the cost of short codes and the recall of floats.

    The items are projected to ``bits`` dimensions by ITQ, partitioned there by k-means, and kept as the signs of the
    projection, list after list; or as codes of a hashing model, which ``add`` and ``search`` then take. A query
    probes its ``nprobe`` nearest lists, takes the ``candidates`` nearest codes by an exact Hamming scan, and orders
    those by their floats. On a GPU a scan of all codes is quicker than lists are: there is one list.

    Args:
        metric: ``cosine``, ``inner`` or ``euclidean`` (score: negative distance).
        bits: Code length, a multiple of 8 up to 512; fewer where items or dimensions are fewer.
        lists: Inverted lists of the partition. None: 1.2 sqrt(n), at most n / 39. On a GPU: 1.
        nprobe: Lists that a query probes; all where there are fewer.
        candidates: Codes whose floats are compared, at least the k of a search.
        rows: How floats are kept: ``float32``, ``float16`` or, not on a GPU, ``int8`` (a scale per dimension).
        rows_path: File for the floats, which are then read from disk through a memory map. None: memory; only
            ``float32`` rows of a file that is mapped for reading alone are used where they lie.
        train_rows: Rows, drawn without replacement, that partition and codes are trained on. None: 100,000.
        threads: Cores to search with. None: all of this process. Another number splits the queries otherwise, whose
            projections are then rounded otherwise: lists or codes that are as near within rounding may change.
        seed: Of every draw.
        device: Where the items lie and are searched, as torch names it: ``cpu``, ``cuda``, ``cuda:1``.

    Raises:
        UsageError: A parameter out of its range, or one that a GPU has no use for.

    Source:
        FAISS provides ITQ (Gong and Lazebnik 2011) and k-means; scan and rerank are ours.
    """

    def __init__(
        self,
        metric: Metric = "cosine",
        bits: int = 256,
        lists: int | None = None,
        nprobe: int = 32,
        candidates: int = 100,
        rows: RowType = "float32",
        rows_path: str | Path | None = None,
        train_rows: int | None = None,
        threads: int | None = None,
        seed: int = 1234,
        device: str = "cpu",
    ) -> None:
        counts = {"nprobe": nprobe, "candidates": candidates, "lists": lists, "train_rows": train_rows}
        check_parameters(metric, rows, bits, {**counts, "threads": threads}, device)
        if device != "cpu" and (rows_path is not None or rows == "int8" or lists not in (None, 1)):
            raise UsageError(f"on {device} the floats lie on the device, as float32 or float16, and there is one list")
        self.metric, self.bits, self.lists, self.device = metric, bits, lists, device
        self.nprobe, self.candidates = nprobe, candidates
        self.train_rows, self.threads, self.seed = train_rows or 100_000, threads or cores(), seed
        self._rows = StoredRows(rows, rows_path)
        self._projection: tuple[np.ndarray, np.ndarray] | None = None  # ITQ's matrix "bits dim", and its offset
        self._held: HybridOnCpu | HybridOnDevice | None = None
        self._ids = ItemIds()
        self._learned: int | None = None  # length of the codes of a model

    @property
    def name(self) -> str:
        """``hybrid(...)``: code length, lists and probes (not on a GPU), candidates, type of the rows."""
        code = f"learned{self._learned}" if self._learned else self.bits
        lists = f"{self.lists},{self.nprobe}," if self.device == "cpu" else ""
        return f"hybrid({code},{lists}{self.candidates},{self._rows.kind})"

    @property
    def size_bytes(self) -> int:
        """Bytes in memory or on the device; floats that lie in a file are counted by ``disk_bytes``."""
        trained = sum(int(part.nbytes) for part in self._projection or ())
        return trained + self._ids.nbytes + (0 if self._held is None else self._held.size_bytes)

    @property
    def disk_bytes(self) -> int:
        """Bytes of the floats in a mapped file."""
        return self._rows.disk_bytes

    @property
    def _length(self) -> int:
        return 0 if self._held is None else self._held.length

    def _floats(self, values: Embeddings | HashCodes, what: str) -> Any:
        """Checked rows: an array, or a tensor where they lie on a device already."""
        values = values.to_signs() if isinstance(values, HashCodes) else values
        dim = None if self._projection is None else self._projection[0].shape[1]
        is_there = isinstance(values, Tensor) and values.device.type != "cpu" and self.device != "cpu"
        return to_tensor(values, what, self.device, dim) if is_there else to_floats(values, what, dim)

    def fit(
        self, items: Embeddings | HashCodes, count: int | None = None, queries: Embeddings | None = None
    ) -> "HybridSearch":
        """Trains projection and partition; ``add`` does it from its items where this was not called.

        Args:
            items: Rows to train on.
            count: Items that will be added, which sets the number of lists. None: as many as these.
            queries: Rows of the other side to train the projection on too, each counting as much as an item.

        Raises:
            DataError: Wrong shape, NaN, fewer than 8 rows or dimensions, or queries of another width.
        """
        floats = self._floats(items, "items")
        bits = min(self.bits, min(floats.shape) // 8 * 8)
        if bits == 0:
            raise DataError(f"{len(floats)} items of {floats.shape[1]} dimensions are too few for a code of 8 bits")
        train = draw_rows([floats], self.train_rows, self.seed)
        sides = [train] if queries is None else [train, to_floats(queries, "queries", floats.shape[1])]
        self._projection = ITQ(bits, self.seed).fit(*sides).projection
        self.bits = bits
        if self.device != "cpu":
            self.lists = 1
            self._held = HybridOnDevice(self.device, self.metric, self._rows.kind, self._projection)
            return self
        self.lists = max(1, min(self.lists or round(1.2 * math.sqrt(count or len(floats))), len(train) // 39))
        means = import_faiss().Kmeans(self.bits, self.lists, niter=10, seed=self.seed)
        means.train(train @ self._projection[0].T + self._projection[1])
        self._rows.fit(train)
        self._held = HybridOnCpu(self.metric, self._projection, means.centroids, self._rows)
        return self

    def clone_empty(self) -> "HybridSearch":
        """A searcher with the same parameters and all that was trained, without items.

        Where the floats lie in a file, those of the n-th such searcher lie in one with ``.n`` appended to its name.
        """
        clone = HybridSearch(**self._settings(), rows=self._rows.kind, threads=self.threads, device=self.device)
        clone._projection, clone._rows = self._projection, self._rows.clone_empty()
        clone._held = None if self._held is None else self._held.clone_empty(clone._rows)
        return clone

    def add(
        self,
        items: Embeddings | HashCodes,
        codes: Embeddings | HashCodes | None = None,
        *,
        ids: Ids | None = None,
    ) -> None:
        """Adds ``n x d`` floats; ``HashCodes`` count as floats of +1 and -1.

        Args:
            items: The floats, by which lists are chosen and candidates ordered.
            codes: Codes of the same items by a hashing model, unpacked or ``HashCodes``, to be scanned instead of
                ITQ's; once passed, they belong to every ``add`` and ``search``.
            ids: Their ids, whole numbers from 0 or str, with every ``add`` or with none. None: numbers from 0 on.

        Raises:
            DataError: Wrong shape, NaN, or another width or count than before; ids that do not fit.
            UsageError: Codes are passed now and not before or the reverse, or memory or disk is short (the predicted
                size is named).
        """
        with self._ids.changing(), on(self.device):
            floats = self._floats(items, "items")
            own, bits = self._own_codes(codes, len(floats), "items")
            waits_for_training = 0 if self._held is not None else self.train_rows
            is_mapped = isinstance(items, np.memmap)
            require_resources(floats.shape, bits, self._rows, self._length, self.device, waits_for_training, is_mapped)
            if self._held is None:
                self.fit(floats)
            assert self._held is not None
            if self.device == "cpu" and self._rows.path is None:
                floats = owned(floats, items)
            with self._ids.taking(len(floats), ids):
                self._held.add(floats, None if own is None else own.apart_from(codes))
            self._learned = None if codes is None else bits

    def remove(self, ids: Ids) -> None:
        """Makes items unfindable; their memory is free once the index is built again.

        Raises:
            DataError: An id is not held (it is named); nothing is removed then.
            UsageError: The items lie on a GPU, whose search knows no items that may not be found.
        """
        self._check_on_cpu("remove()")
        self._ids.remove(ids)

    def _check_on_cpu(self, what: str) -> None:
        if self.device != "cpu":
            raise UsageError(f"{what} is for hybrid on the CPU; on {self.device} every item may be found")

    def _own_codes(self, codes: Embeddings | HashCodes | None, rows: int, what: str) -> tuple[HashCodes | None, int]:
        """Codes of a model, checked, and their length; None where this index makes its own."""
        if self._length and (codes is None) != (self._learned is None):
            held = "its own codes" if self._learned is None else f"a model's codes of {self._learned} bits"
            raise UsageError(f"the index holds {held}; pass codes= with all items and queries or with none")
        if codes is None:
            return None, self.bits
        bits = code_length(codes, self._learned, f"codes of the {what}")
        own = HashCodes.of(codes, bits, f"codes of the {what}")
        if len(own) != rows:
            raise DataError(f"there are {len(own)} codes for {rows} {what}; each row needs its code")
        return own, bits

    def search(
        self,
        queries: Embeddings | HashCodes,
        k: int,
        codes: Embeddings | HashCodes | None = None,
        *,
        allowed: Ids | None = None,
    ) -> Ranking:
        """The k best candidates; where the lists hold fewer, the rest has item -1 and the lowest score.

        Args:
            queries: ``queries dim`` floats.
            k: Items of each query, at most ``candidates``.
            codes: A model's codes of the queries, where the items came with such.
            allowed: Ids of the items that may be found, not on a GPU. None: all. No more than ``candidates`` of them
                are compared without screening, which is exact; of more as many more lists are probed as they are fewer.

        Raises:
            UsageError: Nothing was added, k is below 1 or above the number of items that may be found, or above
                ``candidates``; codes are passed to an index without or the reverse.
            DataError: Queries of another width, or with NaN; codes of another width or number.
        """
        if allowed is not None:
            self._check_on_cpu("allowed=")
        with on(self.device), self._ids.searching(k, allowed, self._prepare) as (k, mask):
            if k > self.candidates:
                raise UsageError(f"k is {k}, but only {self.candidates} candidates are compared; set candidates to {k}")
            assert self._held is not None
            floats = self._floats(queries, "queries")
            own, _ = self._own_codes(codes, len(floats), "queries")
            candidates = min(self.candidates, self._length)
            if isinstance(self._held, HybridOnCpu):
                found = self._held.search(floats, own, k, candidates, self.nprobe, self.threads, mask)
            else:
                found = self._held.search(floats, own, k, candidates)
            return self._ids.named(found)

    def _prepare(self) -> None:
        assert self._held is not None
        self._held.prepare()

    def _settings(self) -> dict[str, Any]:
        names = ("metric", "bits", "lists", "nprobe", "candidates", "train_rows", "seed")
        return {name: getattr(self, name) for name in names}

    def save(self, path: str | Path) -> None:
        """Writes the index to one file; floats in a mapped file stay there and are named.

        Raises:
            UsageError: Nothing was added.
        """
        check_k(1, self._length)
        assert self._held is not None
        assert self._projection is not None
        (rows, arrays), (ids, id_arrays) = self._held.state(), self._ids.state()
        arrays |= dict(zip(("matrix", "offset"), self._projection, strict=True)) | id_arrays
        settings = {"search": self._settings(), "rows": rows, "learned": self._learned, "ids": ids}
        write_index(Path(path), "hybrid", settings, arrays)

    @classmethod
    def load(cls, path: str | Path, threads: int | None = None, device: str = "cpu") -> "HybridSearch":
        """Reads an index that ``save`` wrote, wherever its items lay.

        Args:
            path: The file.
            threads: Cores to search with.
            device: Where to search. On a GPU the partition is not used.

        Raises:
            DataError: The file or the file of floats is missing, cut off or of another version.
            UsageError: The device is not there or short of memory, or the floats were kept as ``int8``.
        """
        settings, arrays = read_index(Path(path), "hybrid")
        where = {"device": device, "lists": 1, "rows": settings["rows"]["kind"]} if device != "cpu" else {}
        searcher = cls(**settings["search"] | where, threads=threads)
        searcher._rows = StoredRows.restored(settings["rows"], arrays)
        searcher._learned = settings["learned"]
        searcher._ids = ItemIds.restored(settings.get("ids"), arrays, settings["rows"]["shape"][0])
        if "ids_held" in arrays:
            searcher._check_on_cpu("an index with removed items")
        searcher._projection = arrays["matrix"], arrays["offset"]
        if device == "cpu":
            held = HybridOnCpu(searcher.metric, searcher._projection, arrays["centres"], searcher._rows)
            held.restore(arrays)
            searcher._held = held
            return searcher
        on_device = HybridOnDevice(device, searcher.metric, searcher._rows.kind, searcher._projection)
        bits = searcher._learned or searcher.bits
        require_resources(tuple(settings["rows"]["shape"]), bits, searcher._rows, 0, device)
        with on(device):
            on_device.restore(searcher._rows.whole(), arrays, bits)
        searcher._held, searcher._rows = on_device, StoredRows(searcher._rows.kind, None)
        return searcher
