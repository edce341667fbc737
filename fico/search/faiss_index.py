"""Any index that FAISS can build from a factory string, for floats and for hash codes."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fico.codes import unpack_codes
from fico.errors import DataError, UsageError
from fico.search.base import check_k, faiss_threads, import_faiss, to_floats
from fico.search.faiss_shards import FaissShards, copies, from_bytes, parts_of, to_bytes
from fico.search.id_ranges import IdRanges
from fico.search.index_file import read_index, write_index
from fico.search.itq import Binariser, Coder, draw_rows
from fico.types import Ranking
from fico.util.arrays import Embeddings, to_array
from fico.util.resources import require_memory

METRICS = ("cosine", "inner", "euclidean")
_ADD_BYTES = 2**30  # copied in one go when items are added
_TRAIN_ROWS = 100_000


class FaissSearch:
    """A FAISS index behind the searcher's interface.

    A factory that begins with ``B`` (``BFlat``, ``BIVF{lists}``, ``BHNSW32``) is one of hash codes under Hamming
    distance; floats are binarised for it by ITQ, learnt from the items of the first ``add``. Any other factory
    (``Flat``, ``HNSW32``, ``PCA256,IVF256,RaBitQfs``) is one of floats; codes go into it as +1 and -1.

    Args:
        factory: FAISS factory string. ``{lists}`` in it stands for 4 sqrt(n), at most n / 39 (what FAISS wants
            to learn a list from), of the n items of the first ``add``.
        metric: ``cosine``, ``inner`` or ``euclidean`` (score: negative distance); without effect on codes.
        bits: Code length: of the items where they are codes (needed for packed ones), of ITQ where they are
            floats. None: the width of +-1 or 0/1 codes; for ITQ 64, or what few items allow.
        search_params: FAISS search parameters by name, as ``{"efSearch": 64}`` or ``{"nprobe": 16}``.
        threads: OpenMP threads while building and searching. None: FAISS's own setting.
        train_rows: Rows, drawn without replacement, from which partitions and quantisers are learnt.
        binariser: A fitted one to use instead of ITQ on the items, for instance fitted on images and texts.
        seed: Of the training draw and of ITQ.
        shards: Indexes that the items are dealt to, each searched in a thread of its own (``IndexShards``).

    Raises:
        UsageError: Unknown metric, ``bits`` is no positive multiple of 8, or ``shards`` is below 1.
    """

    def __init__(
        self,
        factory: str = "Flat",
        metric: str = "cosine",
        bits: int | None = None,
        search_params: Mapping[str, float] | None = None,
        threads: int | None = None,
        train_rows: int = _TRAIN_ROWS,
        binariser: Binariser | None = None,
        seed: int = 1234,
        shards: int = 1,
    ) -> None:
        if metric not in METRICS:
            raise UsageError(f"metric is {metric!r}; choose one of {', '.join(METRICS)}")
        if shards < 1:
            raise UsageError(f"shards is {shards}; give 1 or more")
        self.factory, self.metric = factory, metric
        self.search_params, self.threads = dict(search_params or {}), threads
        self.train_rows, self.seed, self.shards = train_rows, seed, shards
        self._coder = Coder(bits, binariser, seed)
        self._index: Any = None

    @property
    def is_binary(self) -> bool:
        """Whether the index holds hash codes."""
        return self.factory.startswith("B")

    @property
    def bits(self) -> int | None:
        """Code length of an index of hash codes, once it is known."""
        return self._coder.bits if self.is_binary else None

    @property
    def name(self) -> str:
        """The factory string, the code length (``itq<bits>`` where floats were binarised), the search parameters."""
        parts = [self.factory] + ([self._coder.name] if self.is_binary and self._coder.bits else [])
        return ",".join(parts + [f"{key}={value}" for key, value in sorted(self.search_params.items())])

    @property
    def size_bytes(self) -> int:
        """Bytes of the index as FAISS would write it; counted, not written."""
        if self._index is None:
            return 0
        faiss, written = import_faiss(), 0

        def count(block: bytes) -> int:
            nonlocal written
            written += len(block)
            return len(block)

        write = faiss.write_index_binary if self.is_binary else faiss.write_index
        for part in parts_of(self._index):
            write(part, faiss.PyCallbackIOWriter(count))
        return written

    def fit(self, items: Embeddings, queries: Embeddings | None = None) -> "FaissSearch":
        """Learns codes, partitions and quantisers; ``add`` does it from its items where it was not called.

        Args:
            items: As many as will be added, or a share of them; they are not kept.
            queries: Rows of the other side that ITQ is learnt from too, each counting as much as an item.

        Raises:
            DataError: Wrong shape, NaN, or too few items to learn from.
            UsageError: FAISS is not installed, or knows no such factory or search parameter.
        """
        array = to_array(items, "items")
        other = None if queries is None else to_array(queries, "queries")
        self._coder.fit(array, learn=self.is_binary, queries=other)
        with faiss_threads(self.threads):
            index = self._make(len(array), self._rows(array[:1], "items").shape[1])
            if not index.is_trained:
                self._train(index, self._rows(draw_rows([array], self.train_rows, self.seed), "items"))
        self._index = index if self.shards == 1 else FaissShards([index, *copies(index, self.shards - 1)])
        return self

    def _train(self, index: Any, rows: np.ndarray) -> None:
        try:
            index.train(rows)
        except RuntimeError as error:  # more lists or centroids than rows; FAISS counts them
            raise DataError(
                f"FAISS cannot learn {self.factory!r} from {len(rows)} items: {error}; "
                "give more items or a factory with fewer lists"
            ) from error

    def empty(self) -> "FaissSearch":
        """A searcher with the same settings and what was learnt, without items.

        Raises:
            UsageError: It holds items already.
        """
        twin = self._twin()
        if self._index is not None:
            if self._index.ntotal:
                raise UsageError("FAISS cannot take the items out of an index again; call empty() before add()")
            parts = copies(parts_of(self._index)[0], self.shards)
            twin._index = parts[0] if self.shards == 1 else FaissShards(parts)
        return twin

    def _twin(self) -> "FaissSearch":
        names = ("factory", "metric", "search_params", "threads", "train_rows", "seed", "shards")
        twin = FaissSearch(**{name: getattr(self, name) for name in names})
        twin._coder = self._coder
        return twin

    def add(self, items: Embeddings) -> None:
        """Builds the index on the first call; later items only join it.

        Raises:
            DataError: Wrong shape, NaN, too few items to learn from, or codes of another width.
            UsageError: FAISS is not installed, or knows no such factory or search parameter, or memory is short (the
                predicted size is named).
        """
        array = to_array(items, "items")
        if self._index is None:
            self.fit(array)
        require_memory(
            len(array) * _item_bytes(parts_of(self._index)[0]),
            f"{len(array)} items in {self.factory}",
            "add fewer, or choose an index that compresses them",
        )
        step = max(1, _ADD_BYTES // (4 * array.shape[1]))
        with faiss_threads(self.threads):
            for start in range(0, len(array), step):
                self._index.add(self._rows(array[start : start + step], "items"))

    def search(self, queries: Embeddings, k: int) -> Ranking:
        """The k items that the index finds; a place it cannot fill has item -1 and the lowest score.

        Raises:
            UsageError: Nothing was added, or k is below 1 or above the number of items.
            DataError: Queries of another width, or with NaN.
        """
        k = check_k(k, 0 if self._index is None else self._index.ntotal)
        rows = self._rows(to_array(queries, "queries"), "queries")
        with faiss_threads(self.threads):
            values, items = self._index.search(rows, k)
        if self.is_binary:
            scores = np.where(items < 0, -(self._index.d + 1), -values).astype(np.int32)
        elif self.metric == "euclidean":
            scores = np.where(items < 0, -np.inf, -np.sqrt(np.maximum(values, 0))).astype(np.float32)
        else:
            scores = np.where(items < 0, -np.inf, values).astype(np.float32)
        return Ranking(scores, items)

    def set_search_params(self, parameters: Mapping[str, float]) -> None:
        """Changes search parameters, of a built index too; the others stay.

        Raises:
            UsageError: The index has no such parameter.
        """
        if self._index is not None:
            for part in parts_of(self._index):
                _set_parameters(part, parameters)
        self.search_params |= parameters

    def _rows(self, array: np.ndarray, what: str) -> np.ndarray:
        """What FAISS takes: packed codes or contiguous floats."""
        if self.is_binary:
            return self._coder.encode(array, what)
        if self._coder.takes_codes:
            array = unpack_codes(self._coder.encode(array, what))
        dim = None if self._index is None else int(self._index.d)
        floats = np.ascontiguousarray(to_floats(array, what, dim))
        if self.metric == "cosine":
            floats = floats.copy()
            import_faiss().normalize_L2(floats)
        return floats

    def save(self, path: str | Path) -> None:
        """Writes the index to one file.

        Raises:
            UsageError: Nothing was added.
        """
        check_k(1, 0 if self._index is None else self._index.ntotal)
        coder, arrays = self._coder.state()
        arrays |= {f"index{number}": to_bytes(part) for number, part in enumerate(parts_of(self._index))}
        names = ("factory", "metric", "search_params", "train_rows", "seed", "shards")
        settings = {name: getattr(self, name) for name in names}
        ranges = self._index.ranges.state() if isinstance(self._index, FaissShards) else None
        write_index(Path(path), "faiss", {"search": settings, "coder": coder, "ranges": ranges}, arrays)

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
        searcher._coder = Coder.restored(settings["coder"], arrays)
        parts = [from_bytes(arrays[f"index{part}"], searcher.is_binary) for part in range(searcher.shards)]
        for part in parts:
            _set_parameters(part, searcher.search_params)  # FAISS does not write all of them
        ranged = settings["ranges"] is not None
        searcher._index = FaissShards(parts, IdRanges.restored(settings["ranges"])) if ranged else parts[0]
        return searcher

    def _make(self, items: int, width: int) -> Any:
        faiss = import_faiss()
        lists = max(1, min(round(4 * math.sqrt(items)), items // 39))
        self.factory = self.factory.replace("{lists}", str(lists))
        try:
            if self.is_binary:
                index = faiss.index_binary_factory(8 * width, self.factory)
            else:
                kind = faiss.METRIC_L2 if self.metric == "euclidean" else faiss.METRIC_INNER_PRODUCT
                index = faiss.index_factory(width, self.factory, kind)
        except RuntimeError as error:
            raise UsageError(f"FAISS cannot build {self.factory!r} for {width} columns: {error}") from error
        _set_parameters(index, self.search_params)
        return index


def _set_parameters(index: Any, parameters: Mapping[str, float]) -> None:
    faiss = import_faiss()
    for name, value in parameters.items():
        try:
            if isinstance(index, faiss.IndexBinary):
                owner = index if hasattr(index, name) else index.hnsw
                getattr(owner, name)
                setattr(owner, name, value)
            else:
                faiss.ParameterSpace().set_index_parameter(index, name, value)
        except (RuntimeError, AttributeError) as error:
            raise UsageError(f"{type(index).__name__} has no search parameter {name!r}") from error


def _item_bytes(index: Any) -> int:
    """Bytes that FAISS will take for one more item: its code, and its links in a graph or its id in a list."""
    faiss = import_faiss()
    is_binary = isinstance(index, faiss.IndexBinary)
    inner = index if is_binary else faiss.downcast_index(index)
    beside = 4 * inner.hnsw.nb_neighbors(0) + 16 if hasattr(inner, "hnsw") else 8 * hasattr(inner, "nlist")
    if is_binary:
        return int(inner.code_size + beside)
    try:
        return int((inner.storage if hasattr(inner, "hnsw") else inner).sa_code_size() + beside)
    except RuntimeError:  # an index that cannot tell the size of its codes
        return int(beside)
