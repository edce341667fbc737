"""Coarse to fine: nearest lists, nearest codes within them, floats for the few that are left."""

import math
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from fico.errors import DataError, UsageError
from fico.matmul import one_blas_thread
from fico.search.base import Embeddings, check_k, import_faiss, to_array, to_floats
from fico.search.binarise import Binariser, draw_rows
from fico.search.code_lists import CodeLists
from fico.search.codes import check_bits, pack_codes
from fico.search.index_file import read_index, write_index
from fico.search.popcount_scan import as_words, cores, run_parts
from fico.search.room import need_disk, need_memory
from fico.search.stored_rows import ROW_BYTES, RowType, StoredRows
from fico.types import Ranking

Metric = Literal["cosine", "inner", "euclidean"]
_MEASURES = {"inner": 0, "cosine": 1, "euclidean": 2}  # as the kernel counts them
_ROWS = 65_536
_TILE = 256  # queries of one piece of work


class HybridSearch:
    """Searches with the cost of short codes and the recall of floats.

    The items are projected to ``bits`` dimensions by ITQ, partitioned there by k-means, and kept as the signs of the
    projection, list after list; or as codes that somebody learnt, which ``add`` and ``search`` then are given. A query
    looks into its ``nprobe`` nearest lists, takes the ``candidates`` nearest codes by an exact Hamming scan, and orders
    those by their floats.

    Args:
        metric: ``cosine``, ``inner`` or ``euclidean`` (score: negative distance).
        bits: Code length, a multiple of 8 up to 512; fewer where items or dimensions are fewer.
        lists: Parts of the partition. None: 1.2 sqrt(n), at most n / 39.
        nprobe: Lists that a query looks into; all where there are fewer.
        candidates: Codes whose floats are compared, at least the k of a search.
        rows: How floats are kept: ``float32``, ``float16`` or ``int8`` (a scale per dimension).
        rows_path: File for the floats, which are then read from disk through a memory map. None: memory; an array
            of ``float32`` given to ``add``, a mapped one too, is used where it lies.
        train_rows: Rows, drawn without replacement, that partition and codes are learnt from. None: 100,000.
        threads: Cores to search with. None: all of this process.
        seed: Of every draw.

    Raises:
        UsageError: A parameter out of its range.

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
    ) -> None:
        _choice("metric", metric, get_args(Metric))
        _choice("rows", rows, get_args(RowType))
        counts = {"nprobe": nprobe, "candidates": candidates, "lists": lists, "train_rows": train_rows}
        for name, value in {**counts, "threads": threads}.items():
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}; give 1 or more")
        if not 8 <= bits <= 512 or bits % 8:
            raise UsageError(f"bits is {bits}; give a multiple of 8 from 8 to 512")
        self.metric, self.bits, self.lists = metric, bits, lists
        self.nprobe, self.candidates = nprobe, candidates
        self.train_rows, self.threads, self.seed = train_rows or 100_000, threads or cores(), seed
        self._rows = StoredRows(rows, rows_path)
        self._matrix: np.ndarray | None = None  # "bits dim": the ITQ projection, and its offset
        self._offset = self._centres = np.empty(0, np.float32)
        self._lists = CodeLists(0)
        self._learned: int | None = None  # length of codes that were given

    @property
    def name(self) -> str:
        """``hybrid(...)`` with the code length, lists, probes, candidates and the type of the rows."""
        code = f"learned{self._learned}" if self._learned else self.bits
        return f"hybrid({code},{self.lists},{self.nprobe},{self.candidates},{self._rows.kind})"

    @property
    def size_bytes(self) -> int:
        """Bytes in memory; floats that lie in a file are counted by ``disk_bytes``."""
        learnt = [self._offset, self._centres] + ([] if self._matrix is None else [self._matrix])
        return sum(int(part.nbytes) for part in learnt) + self._lists.size_bytes + self._rows.memory_bytes

    @property
    def disk_bytes(self) -> int:
        """Bytes of the floats in a mapped file."""
        return self._rows.disk_bytes

    def fit(self, items: Embeddings, count: int | None = None, queries: Embeddings | None = None) -> "HybridSearch":
        """Learns projection and partition; ``add`` does it from its items where it was not called.

        Args:
            items: Rows to learn from.
            count: Items that will be added, which sets the number of lists. None: as many as these.
            queries: Rows of the other side to learn the projection from too, each counting as much as an item.

        Raises:
            DataError: Wrong shape, NaN, fewer than 8 rows or dimensions, or queries of another width.
        """
        floats = to_floats(items, "items")
        self.bits = min(self.bits, min(floats.shape) // 8 * 8)
        if self.bits == 0:
            raise DataError(f"{len(floats)} items of {floats.shape[1]} dimensions are too few for a code of 8 bits")
        train = draw_rows([floats], self.train_rows, self.seed)
        sides = [train] if queries is None else [train, to_floats(queries, "queries", floats.shape[1])]
        self._matrix, self._offset = Binariser(self.bits, self.seed).fit(*sides).projection
        self.lists = max(1, min(self.lists or round(1.2 * math.sqrt(count or len(floats))), len(train) // 39))
        means = import_faiss().Kmeans(self.bits, self.lists, niter=10, seed=self.seed)
        means.train(self._project(train))
        self._centres = means.centroids
        self._lists = CodeLists(len(self._centres))
        self._rows.fit(train)
        return self

    def empty(self) -> "HybridSearch":
        """A searcher with the same settings and what was learnt, without items.

        Where the floats lie in a file, those of the n-th such searcher lie in one with ``.n`` behind its name.
        """
        twin = HybridSearch(**self._settings(), rows=self._rows.kind, threads=self.threads)
        twin._matrix, twin._offset, twin._centres = self._matrix, self._offset, self._centres
        twin._lists, twin._rows = CodeLists(self._lists.count), self._rows.empty()
        return twin

    def add(self, items: Embeddings, codes: Embeddings | None = None) -> None:
        """Takes ``n x d`` floats; +-1 codes count as floats.

        Args:
            items: The floats, by which lists are chosen and candidates ordered.
            codes: Learnt codes of the same items, +-1 or 0/1, to be scanned instead of ITQ's; given once, they are
                given always, and to ``search`` too.

        Raises:
            DataError: Wrong shape, NaN, or another width or count than before.
            UsageError: Codes are given now and not before or the reverse, or memory or disk is short (the predicted
                size is named).
        """
        dim = None if self._matrix is None else self._matrix.shape[1]
        floats = to_floats(items, "items", dim)
        given = self._given(codes, len(floats), "items")
        self._check_room(len(floats), floats.shape[1])
        if self._matrix is None:
            self.fit(floats)
        for start in range(0, len(floats), _ROWS):
            block = floats[start : start + _ROWS]
            projected = self._project(block)
            near = self._nearest_lists(projected, 1)[:, 0]
            packed = np.packbits(projected > 0, axis=1) if given is None else given[start : start + _ROWS]
            self._lists.add(packed, near, self._norms_of(block))
        self._rows.add(floats)

    def _given(self, codes: Embeddings | None, rows: int, what: str) -> np.ndarray | None:
        """Learnt codes, checked and packed; None where this index makes its own."""
        if self._rows.length and (codes is None) != (self._learned is None):
            held = "its own codes" if self._learned is None else f"learnt codes of {self._learned} bits"
            raise UsageError(f"the index holds {held}; give codes= with all items and queries or with none")
        if codes is None:
            return None
        array = to_array(codes, f"codes of the {what}")
        if len(array) != rows:
            raise DataError(f"{len(array)} codes were given for {rows} {what}; each row needs its code")
        bits = self._learned or array.shape[1]
        packed = pack_codes(array, bits, f"codes of the {what}")
        check_bits(bits)
        self._learned = bits
        return packed

    def _check_room(self, items: int, dim: int) -> None:
        """Refuses what memory or disk cannot hold."""
        floats = items * dim * ROW_BYTES[self._rows.kind]
        # Codes are held twice while they are put into their lists; a list, an item and a length for each code.
        memory = (items + self._rows.length) * (2 * max(self.bits, self._learned or 0) // 8 + 40)
        what = f"{items} items of {dim} dimensions as {self._rows.kind}"
        if self._rows.path is not None:
            need_disk(self._rows.path, floats, what)
        elif self._rows.kind != "float32" or self._rows.length:  # the first float32 rows stay where they lie
            memory += floats + self._rows.memory_bytes
        if self._matrix is None:
            memory += 3 * 4 * dim * min(items, self.train_rows)
        need_memory(memory, what, "keep the floats in a file (rows_path), narrower (rows), or add fewer items")

    def search(self, queries: Embeddings, k: int, codes: Embeddings | None = None) -> Ranking:
        """The k best candidates; a place beyond what the lists held has item -1 and the lowest score.

        Args:
            queries: ``queries dim`` floats.
            k: Places, at most ``candidates``.
            codes: Learnt codes of the queries, where the items came with such.

        Raises:
            UsageError: Nothing was added, k is below 1 or above the number of items, or above ``candidates``; codes
                are given to an index without or the reverse.
            DataError: Queries of another width, or with NaN; codes of another width or number.
        """
        k = check_k(k, self._rows.length)
        if k > self.candidates:
            raise UsageError(f"k is {k}, but only {self.candidates} candidates are compared; set candidates to {k}")
        assert self._matrix is not None
        floats = to_floats(queries, "queries", self._matrix.shape[1])
        given = self._given(codes, len(floats), "queries")
        self._lists.settle()
        scores = np.full((len(floats), k), -np.inf, np.float32)
        items = np.full((len(floats), k), -1, np.int64)
        tile = max(1, min(_TILE, math.ceil(len(floats) / self.threads)))

        def work(start: int) -> None:
            rows = slice(start, start + tile)
            self._search_tile(floats[rows], None if given is None else given[rows], scores[rows], items[rows])

        with one_blas_thread():
            run_parts(work, range(0, len(floats), tile), self.threads)
        return Ranking(self._final(scores, floats), items)

    def _search_tile(
        self, queries: np.ndarray, given: np.ndarray | None, scores: np.ndarray, items: np.ndarray
    ) -> None:
        from fico.search.popcount_kernel import screen
        from fico.search.rerank_kernel import rerank

        projected, held = self._project(queries), self._lists
        lists = self._nearest_lists(projected, min(self.nprobe, len(self._centres)))
        hits = np.empty((len(queries), self.candidates), np.int64)
        found = np.empty(len(queries), np.int64)
        codes = as_words(np.packbits(projected > 0, axis=1) if given is None else given).view(np.int64)
        screen(held.planes.arrays, held.starts, held.stops, lists, codes, hits, found)
        scaled, shift = self._rows.scaled(queries)
        stored = (self._rows.flat, queries.shape[1], held.norms, _MEASURES[self.metric], held.items)
        rerank(*stored, hits, found, scaled, shift, scores, items)

    def _final(self, scores: np.ndarray, queries: np.ndarray) -> np.ndarray:
        """From the kernel's scores, which leave out what does not change a query's order."""
        if self.metric == "inner":
            return scores
        lengths = np.linalg.norm(queries, axis=1, keepdims=True)
        if self.metric == "cosine":
            return np.asarray(scores / np.maximum(lengths, 1e-12))
        return np.asarray(-np.sqrt(np.maximum(np.square(lengths) - scores, 0)))

    def _project(self, floats: np.ndarray) -> np.ndarray:
        assert self._matrix is not None
        return np.asarray(floats @ self._matrix.T + self._offset)

    def _nearest_lists(self, projected: np.ndarray, count: int) -> np.ndarray:
        from fico.search.rerank_kernel import smallest

        distances = np.square(self._centres).sum(axis=1) - 2 * (projected @ self._centres.T)
        out = np.empty((len(projected), count), np.int64)
        smallest(distances, out)
        return out

    def _norms_of(self, floats: np.ndarray) -> np.ndarray:
        if self.metric == "inner":
            return np.empty(0, np.float32)
        squares = np.einsum("ij,ij->i", floats, floats)
        return np.asarray(1 / np.sqrt(np.maximum(squares, 1e-24)) if self.metric == "cosine" else squares)

    def _settings(self) -> dict[str, Any]:
        names = ("metric", "bits", "lists", "nprobe", "candidates", "train_rows", "seed")
        return {name: getattr(self, name) for name in names}

    def save(self, path: str | Path) -> None:
        """Writes the index to one file; floats in a mapped file stay there and are named.

        Raises:
            UsageError: Nothing was added.
        """
        check_k(1, self._rows.length)
        assert self._matrix is not None
        rows, arrays = self._rows.state()
        arrays |= self._lists.state() | {name: getattr(self, f"_{name}") for name in _ARRAYS}
        settings = {"search": self._settings(), "rows": rows, "learned": self._learned}
        write_index(Path(path), "hybrid", settings, arrays)

    @classmethod
    def load(cls, path: str | Path, threads: int | None = None) -> "HybridSearch":
        """Reads an index that ``save`` wrote.

        Args:
            path: The file.
            threads: Cores to search with.

        Raises:
            DataError: The file or the file of floats is missing, cut off or of another version.
        """
        settings, arrays = read_index(Path(path), "hybrid")
        searcher = cls(**settings["search"], threads=threads)
        searcher._rows = StoredRows.restored(settings["rows"], arrays)
        for name in _ARRAYS:
            setattr(searcher, f"_{name}", arrays[name])
        searcher._lists = CodeLists.restored(arrays)
        searcher._learned = settings["learned"]
        return searcher


_ARRAYS = ("matrix", "offset", "centres")


def _choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UsageError(f"{name} is {value!r}; choose one of {', '.join(choices)}")
