"""Any index that FAISS can build from a factory string, for floats and for hash codes."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fico.codes import HashCodes
from fico.errors import UsageError
from fico.search.base import Ids, check_k, faiss_threads, import_faiss, to_floats
from fico.search.faiss_factory import build_index, bytes_per_item, check_complete, faiss_metric, set_parameters
from fico.search.faiss_filter import nearest_allowed
from fico.search.faiss_gpu import MOST_K, Cagra, check_gpu, to_cpu, to_gpu
from fico.search.faiss_shards import FaissShards, copies, from_bytes, parts_of, to_bytes
from fico.search.faiss_training import train
from fico.search.hash_encoder import HashEncoder
from fico.search.id_ranges import IdRanges
from fico.search.index_file import read_index, write_index
from fico.search.item_ids import ItemIds
from fico.search.itq import ITQ, draw_rows
from fico.similarity import SIMILARITIES
from fico.types import Ranking
from fico.util.arrays import Embeddings, to_array
from fico.util.resources import require_memory

_ADD_BYTES = 2**30  # copied in one go when items are added
_TRAIN_ROWS = 100_000


class FaissSearch:
    """A FAISS index behind the searcher's interface.

    A factory that begins with ``B`` (``BFlat``, ``BIVF{lists}``, ``BHNSW32``) is one of hash codes under Hamming
    distance; ITQ, trained on the items of the first ``add``, makes codes of floats for it. Any other factory
    (``Flat``, ``HNSW32``, ``PCA256,IVF256,RaBitQfs``) is one of floats; declared codes go into it as +1 and -1.

    Args:
        factory: FAISS factory string. ``{lists}`` in it stands for 4 sqrt(n), at most n / 39 (what FAISS wants
            to learn a list from), of the n items of the first ``add``.
        metric: ``cosine``, ``inner`` or ``euclidean`` (score: negative distance), without effect on an index of codes;
            or ``hamming`` (score: negative number of differing bits), which declares that all rows are codes.
        bits: Code length, which declares codes: in an index of codes, rows of that many columns are codes of +1 and
            -1 or of 1 and 0, and ``uint8`` rows of an eighth of the columns packed codes, while any other rows are
            floats for ITQ; in an index of floats, that all rows are codes. None: rows are floats, for ITQ of 64 bits
            or what few items allow; under ``hamming`` unpacked codes.
        search_params: FAISS search parameters by name, as ``{"efSearch": 64}`` or ``{"nprobe": 16}``.
        threads: OpenMP threads while building and searching. None: FAISS's own setting.
        train_rows: Rows, drawn without replacement, that partitions and quantisers are trained on.
        itq: Declares that the rows of an index of codes are floats; fitted on the items of the first ``add`` unless it
            is already, for instance on images and texts.
        seed: Of the training draw and of ITQ.
        shards: Indexes that the items are distributed to, each searched in a thread of its own (``IndexShards``).
        device: ``cpu``, or ``cuda`` or ``cuda:<number>``, where ``Flat``, ``IVF`` with ``Flat``, ``PQ`` or ``SQ``,
            ``BFlat`` and, with cuVS, ``CAGRA<degree>`` are searched; at most 2,048 items of a query. Such an index is
            trained on the CPU, and a saved one is read on the CPU.

    Raises:
        UsageError: Unknown metric, ``bits`` is not a positive multiple of 8, ``shards`` is below 1, or FAISS cannot use
            the device.
    """

    def __init__(
        self,
        factory: str = "Flat",
        metric: str = "cosine",
        bits: int | None = None,
        search_params: Mapping[str, float] | None = None,
        threads: int | None = None,
        train_rows: int = _TRAIN_ROWS,
        itq: ITQ | None = None,
        seed: int = 1234,
        shards: int = 1,
        device: str = "cpu",
    ) -> None:
        if metric not in SIMILARITIES:
            raise UsageError(f"metric is {metric!r}; choose one of {', '.join(SIMILARITIES)}")
        if shards < 1:
            raise UsageError(f"shards is {shards}; give 1 or more")
        check_gpu(factory, device, shards)
        self.factory, self.metric = factory, metric
        self.search_params, self.threads = dict(search_params or {}), threads
        self.train_rows, self.seed, self.shards, self.device = train_rows, seed, shards, device
        are_codes = metric == "hamming" or (bits is not None and not self.is_binary)
        self._encoder = HashEncoder(bits, itq, seed, are_codes)
        self._index: Any = None
        self._ids = ItemIds()

    @property
    def is_binary(self) -> bool:
        """Whether the index holds hash codes."""
        return self.factory.startswith("B")

    @property
    def bits(self) -> int | None:
        """Code length of an index of hash codes, once it is known."""
        return self._encoder.bits if self.is_binary else None

    @property
    def name(self) -> str:
        """The factory string, the code length (``itq<bits>`` where ITQ made the codes), the search parameters."""
        parts = [self.factory] + ([self._encoder.name] if self.is_binary and self._encoder.bits else [])
        return ",".join(parts + [f"{key}={value}" for key, value in sorted(self.search_params.items())])

    @property
    def size_bytes(self) -> int:
        """Bytes of the index as FAISS would write it; counted, not written."""
        if self._index is None:
            return 0
        if isinstance(self._index, Cagra):
            return self._index.size_bytes + self._ids.nbytes
        faiss, written = import_faiss(), 0

        def count(block: bytes) -> int:
            nonlocal written
            written += len(block)
            return len(block)

        write = faiss.write_index_binary if self.is_binary else faiss.write_index
        for part in parts_of(self._index):
            write(to_cpu(part), faiss.PyCallbackIOWriter(count))
        return written + self._ids.nbytes

    def fit(self, items: Embeddings | HashCodes, queries: Embeddings | None = None) -> "FaissSearch":
        """Trains ITQ, partitions and quantisers; ``add`` does it from its items where it was not called.

        Args:
            items: As many as will be added, or a sample of them; they are not kept.
            queries: Rows of the other side that ITQ is trained on too, each counting as much as an item.

        Raises:
            DataError: Wrong shape, NaN, too few items to train on, or no codes where codes are declared.
            UsageError: FAISS is not installed, knows no such factory or search parameter, or searches this factory by
                another metric.
        """
        rows = _as_rows(items, "items")
        self._encoder.fit(rows, learn=self.is_binary, queries=queries)
        with faiss_threads(self.threads):
            index = self._build(len(rows), self._rows(rows[:1], "items").shape[1])
            if not index.is_trained:
                train(index, self._rows(self._training_rows(rows), "items"), self.factory, self.metric)
        if self.shards == 1:
            self._index = to_gpu(index, self.device)
        else:
            self._index = FaissShards([index, *copies(index, self.shards - 1)])
        return self

    def _training_rows(self, rows: np.ndarray | HashCodes) -> np.ndarray | HashCodes:
        if isinstance(rows, HashCodes):
            return HashCodes(draw_rows([rows.words], self.train_rows, self.seed), rows.bits)
        return draw_rows([rows], self.train_rows, self.seed)

    def clone_empty(self) -> "FaissSearch":
        """A searcher with the same parameters and all that was trained, without items.

        Raises:
            UsageError: It holds items already.
        """
        clone = self._clone()
        if self._index is not None:
            if self._index.ntotal:
                raise UsageError("FAISS cannot take the items out of an index again; call clone_empty() before add()")
            parts = copies(to_cpu(parts_of(self._index)[0]), self.shards)
            clone._index = to_gpu(parts[0], self.device) if self.shards == 1 else FaissShards(parts)
        return clone

    def _clone(self) -> "FaissSearch":
        names = ("factory", "metric", "search_params", "threads", "train_rows", "seed", "shards", "device")
        clone = FaissSearch(**{name: getattr(self, name) for name in names})
        clone._encoder = self._encoder
        return clone

    def add(self, items: Embeddings | HashCodes, *, ids: Ids | None = None) -> None:
        """Builds the index on the first call; later items only join it.

        Args:
            items: ``n x d`` floats, or codes in any form.
            ids: Their ids, whole numbers from 0 or str, with every ``add`` or with none. None: numbers from 0 on.

        Raises:
            DataError: As ``fit``, or rows of another width; ids that do not fit.
            UsageError: As ``fit``, or memory is short (the predicted size is named), or FAISS does not hold what it was
                given.
        """
        rows = _as_rows(items, "items")
        with self._ids.changing(), faiss_threads(self.threads):
            if self._index is None:
                self.fit(rows)
            if self.device == "cpu":
                require_memory(
                    len(rows) * bytes_per_item(parts_of(self._index)[0]),
                    f"{len(rows)} items in {self.factory}",
                    "add fewer, or choose an index that compresses them",
                )
            step = max(1, _ADD_BYTES // (4 * int(self._index.d))) if not isinstance(self._index, Cagra) else len(rows)
            blocks = [rows[start : start + step] for start in range(0, len(rows), step)]
            first = self._rows(blocks[0], "items")
            for block in blocks[1:]:  # all are checked before the first is added
                self._rows(block, "items")
            with self._ids.taking(len(rows), ids):
                self._index.add(first)
                for block in blocks[1:]:
                    self._index.add(self._rows(block, "items"))
                check_complete(self._index, self.factory, self._ids.rows + len(rows))

    def remove(self, ids: Ids) -> None:
        """Makes items unfindable; their memory is free once the index is built again.

        Raises:
            DataError: An id is not held (it is named); nothing is removed then.
        """
        self._ids.remove(ids)

    def search(self, queries: Embeddings | HashCodes, k: int, *, allowed: Ids | None = None) -> Ranking:
        """The k items that the index finds; where it finds fewer, the rest has item -1 and the lowest score.

        Args:
            queries: Rows of the kind of the items.
            k: Items of each query.
            allowed: Ids of the items that may be found. None: all. The index is asked for more items until k of them
                may be, so the result is exact where the index is.

        Raises:
            UsageError: Nothing was added, or k is below 1 or above the number of items that may be found; on a GPU also
                a k above 2,048, or items that may not be found.
            DataError: Queries of another width, or with NaN.
        """
        with self._ids.searching(k, allowed) as (k, mask), faiss_threads(self.threads):
            rows = self._rows(queries, "queries")
            if self.device != "cpu" and (k > MOST_K or mask is not None):
                raise UsageError(
                    f"FAISS finds at most {MOST_K} items of a query on a GPU, and any of its items; ask for fewer, or "
                    "take device=cpu"
                )
            if mask is None:
                values, items = self._index.search(rows, k)
            else:
                values, items = nearest_allowed(self._index, rows, k, mask)
            return self._ids.named(Ranking(self._scores(values, items < 0), items))

    def _scores(self, values: np.ndarray, is_empty: np.ndarray) -> np.ndarray:
        """Scores, higher is nearer, from the distances or products that FAISS gives."""
        if self.is_binary:
            return np.where(is_empty, -(self._index.d + 1), -values).astype(np.int32)
        if self.metric == "euclidean":
            values = -np.sqrt(np.maximum(values, 0))
        elif self.metric == "hamming":  # a product of +1 and -1 counts every differing bit twice
            values = (values - self._encoder.bits) / 2
        return np.where(is_empty, -np.inf, values).astype(np.float32)

    def set_search_params(self, parameters: Mapping[str, float]) -> None:
        """Changes search parameters, of a built index too; the others stay.

        Raises:
            UsageError: The index has no such parameter.
        """
        if self._index is not None:
            for part in parts_of(self._index):
                set_parameters(part, parameters)
        self.search_params |= parameters

    def _rows(self, rows: Embeddings | HashCodes, what: str) -> np.ndarray:
        """What FAISS takes: packed codes or contiguous floats."""
        if self.is_binary:
            return self._encoder.encode(rows, what).packed()
        floats = self._encoder.encode(rows, what).to_signs() if self._encoder.kind == "codes" else rows
        dim = None if self._index is None else int(self._index.d)
        floats = np.ascontiguousarray(to_floats(floats, what, dim))  # type: ignore[arg-type]
        if self.metric == "cosine":
            floats = floats.copy()
            import_faiss().normalize_L2(floats)
        return floats

    def save(self, path: str | Path) -> None:
        """Writes the index to one file.

        Raises:
            UsageError: Nothing was added.
        """
        check_k(1, self._ids.rows)
        if isinstance(self._index, Cagra):
            raise UsageError("FAISS does not write a CAGRA graph; build it again, or take HNSW32")
        (encoder, arrays), (ids, id_arrays) = self._encoder.state(), self._ids.state()
        arrays |= id_arrays | {
            f"index{number}": to_bytes(to_cpu(part)) for number, part in enumerate(parts_of(self._index))
        }
        names = ("factory", "metric", "search_params", "train_rows", "seed", "shards")
        settings = {name: getattr(self, name) for name in names}
        ranges = self._index.ranges.state() if isinstance(self._index, FaissShards) else None
        write_index(Path(path), "faiss", {"search": settings, "coder": encoder, "ranges": ranges, "ids": ids}, arrays)

    @classmethod
    def load(cls, path: str | Path, threads: int | None = None) -> "FaissSearch":
        """Reads an index that ``save`` wrote.

        Args:
            path: The file.
            threads: OpenMP threads to search with.

        Raises:
            DataError: The file is missing, cut off, changed, or of another version or searcher.
        """
        settings, arrays = read_index(Path(path), "faiss")
        searcher = cls(**settings["search"], threads=threads)
        searcher._encoder = HashEncoder.restored(settings["coder"], arrays)
        parts = [from_bytes(arrays[f"index{part}"], searcher.is_binary) for part in range(searcher.shards)]
        for part in parts:
            set_parameters(part, searcher.search_params)  # FAISS does not write all of them
        ranged = settings["ranges"] is not None
        searcher._index = FaissShards(parts, IdRanges.restored(settings["ranges"])) if ranged else parts[0]
        searcher._ids = ItemIds.restored(settings.get("ids"), arrays, searcher._index.ntotal)
        return searcher

    def _build(self, items: int, width: int) -> Any:
        lists = max(1, min(round(4 * math.sqrt(items)), items // 39))
        self.factory = self.factory.replace("{lists}", str(lists))
        if self.factory.startswith("CAGRA"):
            index = Cagra(width, faiss_metric(self.metric), int(self.factory.removeprefix("CAGRA")), self.device)
        else:
            index = build_index(self.factory, width, None if self.is_binary else self.metric)
        set_parameters(index, self.search_params)
        return index


def _as_rows(values: Embeddings | HashCodes, what: str) -> np.ndarray | HashCodes:
    return values if isinstance(values, HashCodes) else to_array(values, what)
