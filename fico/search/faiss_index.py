"""Any index that FAISS can build from a factory string, for floats and for hash codes."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fico.errors import UsageError
from fico.search.base import Embeddings, check_k, faiss_threads, import_faiss, to_array, to_floats
from fico.search.binarise import Binariser, Coder, draw_rows
from fico.search.codes import unpack_codes
from fico.types import Ranking

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

    Raises:
        UsageError: Unknown metric, or ``bits`` is no positive multiple of 8.
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
    ) -> None:
        if metric not in METRICS:
            raise UsageError(f"metric is {metric!r}; choose one of {', '.join(METRICS)}")
        self.factory, self.metric = factory, metric
        self.search_params, self.threads = dict(search_params or {}), threads
        self.train_rows, self.seed = train_rows, seed
        self._coder = Coder(bits, binariser, seed)
        self._index: Any = None

    @property
    def is_binary(self) -> bool:
        """Whether the index holds hash codes."""
        return self.factory.startswith("B")

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
        write(self._index, faiss.PyCallbackIOWriter(count))
        return written

    def add(self, items: Embeddings) -> None:
        """Builds the index on the first call; later items only join it.

        Raises:
            DataError: Wrong shape, NaN, too few items to learn from, or codes of another width.
            UsageError: FAISS is not installed, or knows no such factory or search parameter.
        """
        array = to_array(items, "items")
        if self._index is None:
            self._coder.fit(array, learn=self.is_binary)
        with faiss_threads(self.threads):
            self._add(array)

    def search(self, queries: Embeddings, k: int) -> Ranking:
        """The k items that the index finds; a place it cannot fill has item -1 and the lowest score.

        Raises:
            UsageError: Nothing was added, or k is below 1 or above the number of items.
            DataError: Queries of another width, or with NaN.
        """
        check_k(k, 0 if self._index is None else self._index.ntotal)
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

    def _add(self, array: np.ndarray) -> None:
        if self._index is None:
            index = self._make(len(array), self._rows(array[:1], "items").shape[1])
            if not index.is_trained:
                index.train(self._rows(draw_rows([array], self.train_rows, self.seed), "items"))
            self._index = index
        step = max(1, _ADD_BYTES // (4 * array.shape[1]))
        for start in range(0, len(array), step):
            self._index.add(self._rows(array[start : start + step], "items"))

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
