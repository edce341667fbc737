"""Exact search by matrix product: the oracle that every other searcher is measured against."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fico.errors import UsageError
from fico.search.base import Embeddings, Similarity, check_k, merge, to_array, to_floats
from fico.search.codes import check_bits, pack_codes, unpack_codes
from fico.search.index_file import read_index, write_index
from fico.types import Ranking

SIMILARITIES = ("cosine", "inner", "euclidean", "hamming")


class ExactSearch:
    """Compares each query with each item, by blocks; equal scores are ordered by lowest item.

    Args:
        similarity: ``cosine``, ``inner``, ``euclidean`` (score: negative distance) or ``hamming`` (score: negative
            number of differing bits, integers).
        bits: Code length where packed codes are given; other codes tell it by their width.
        memory_limit: Bytes for the scores of one block and what selects from them.
        device: Where to multiply, as torch names it.
    """

    def __init__(
        self,
        similarity: Similarity = "cosine",
        bits: int | None = None,
        memory_limit: int = 256 * 2**20,
        device: str = "cpu",
    ) -> None:
        if similarity not in SIMILARITIES:
            raise UsageError(f"similarity is {similarity!r}; choose one of {', '.join(SIMILARITIES)}")
        if bits is not None:
            check_bits(bits)
        self.similarity, self.bits, self.device = similarity, bits, device
        self._memory_limit = memory_limit
        self._items: list[np.ndarray] = []
        self._length = 0
        self._width: int | None = None

    @property
    def name(self) -> str:
        """``exact(<similarity>)``."""
        return f"exact({self.similarity})"

    @property
    def size_bytes(self) -> int:
        """Bytes of the items: packed codes under ``hamming``, ``float32`` rows otherwise."""
        return sum(items.nbytes for items in self._items)

    def add(self, items: Embeddings) -> None:
        """Keeps the items; ``float32`` arrays, mapped ones too, are not copied.

        Raises:
            DataError: Wrong shape, NaN, or no codes under ``hamming``.
        """
        self._take(self._check(items, "items"))

    def _take(self, rows: np.ndarray) -> None:
        self._items.append(rows)
        self._length += len(rows)
        self._width = rows.shape[1]

    def fit(self, items: Embeddings, queries: Embeddings | None = None) -> "ExactSearch":
        """Learns nothing but the width of codes; here so that every searcher has it."""
        if self.similarity == "hamming" and self.bits is None:
            self.bits = to_array(items, "items").shape[1]
            check_bits(self.bits)
        return self

    def empty(self) -> "ExactSearch":
        """A searcher with the same settings, without items."""
        return ExactSearch(self.similarity, self.bits, self._memory_limit, self.device)

    def search(self, queries: Embeddings, k: int) -> Ranking:
        """The k nearest items.

        Raises:
            UsageError: Nothing was added, or k is below 1 or above the number of items.
            DataError: Queries of another width, or with NaN.
        """
        k = check_k(k, self._length)
        rows = self._check(queries, "queries")
        # scores, their copy inside topk, the mask and the ids: about 16 bytes per pair
        pairs = max(1, self._memory_limit // (32 if self.similarity == "euclidean" else 16))
        width = min(self._length, max(k, 4096))
        height = max(1, pairs // width)
        parts = [self._search(rows[start : start + height], k, width) for start in range(0, len(rows), height)]
        return Ranking(np.concatenate([p.scores for p in parts]), np.concatenate([p.indices for p in parts]))

    def _check(self, values: Embeddings, what: str) -> np.ndarray:
        if self.similarity != "hamming":
            return to_floats(values, what, self._width)
        self.fit(values)
        assert self.bits is not None
        return pack_codes(values, self.bits, what)

    def save(self, path: str | Path) -> None:
        """Writes the items to one file.

        Raises:
            UsageError: Nothing was added.
        """
        check_k(1, self._length)
        settings = {"similarity": self.similarity, "bits": self.bits}
        write_index(Path(path), "exact", settings, {f"items{n}": rows for n, rows in enumerate(self._items)})

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu") -> "ExactSearch":
        """Reads what ``save`` wrote.

        Args:
            path: The file.
            device: Where to multiply.

        Raises:
            DataError: The file is missing, cut off, changed, or of another version or searcher.
        """
        settings, arrays = read_index(Path(path), "exact")
        searcher = cls(**settings, device=device)
        for number in range(len(arrays)):
            searcher._take(arrays[f"items{number}"])
        return searcher

    def _search(self, queries: np.ndarray, k: int, width: int) -> Ranking:
        left = prepare(queries, self.similarity, self.device)
        best: Ranking | None = None
        first = 0
        for items in self._items:
            for start in range(0, len(items), width):
                right = prepare(items[start : start + width], self.similarity, self.device)
                found = top_k(scores(left, right, self.similarity), min(k, len(right)), first + start)
                best = found if best is None else merge([best, found], k)
            first += len(items)
        assert best is not None
        return best


def prepare(rows: np.ndarray, similarity: Similarity, device: str = "cpu") -> Tensor:
    """Rows as ``scores`` takes them.

    Args:
        rows: Packed codes under ``hamming``, ``float32`` otherwise.
        similarity: The measure.
        device: Where the products shall be formed.

    Returns:
        ``rows dim``: +-1 under ``hamming``; rows of length 1 under ``cosine``; ``float64`` under ``euclidean``,
        whose squares would cancel in ``float32``.
    """
    if similarity == "hamming":
        return torch.from_numpy(unpack_codes(rows)).to(device)
    values = torch.tensor(rows, device=device)  # a copy: mapped rows are read-only
    if similarity == "cosine":
        return torch.nn.functional.normalize(values)
    return values.double() if similarity == "euclidean" else values


def scores(left: Tensor, right: Tensor, similarity: Similarity) -> Tensor:
    """Scores of every pair, higher is nearer.

    Args:
        left: ``queries dim`` from ``prepare``.
        right: ``items dim`` from ``prepare``.
        similarity: The measure.

    Returns:
        ``queries items``, ``float32``: products; negative distances; negative number of differing bits, exact.
    """
    products = left @ right.T
    if similarity == "hamming":
        return (products - left.shape[1]) / 2
    if similarity == "euclidean":
        squares = left.square().sum(1, keepdim=True) + right.square().sum(1) - 2 * products
        return -squares.clamp(min=0).sqrt().float()
    return products


def top_k(values: Tensor, k: int, first: int = 0) -> Ranking:
    """The k highest scores of each row, ties by lowest column.

    ``torch.topk`` chooses freely among equal scores. Here it only gives the k-th score; the columns that reach it
    are collected in order and the surplus of tied ones at the end is cut.

    Args:
        values: ``queries items``, higher is nearer.
        k: 1 to the number of items.
        first: Number of the first column.

    Returns:
        ``queries k``, best first.
    """
    limit = values.topk(k, dim=1, sorted=False).values.amin(dim=1, keepdim=True)
    row, column = (part.cpu().numpy() for part in torch.nonzero(values >= limit, as_tuple=True))
    value = values[torch.from_numpy(row), torch.from_numpy(column)].cpu().numpy()
    order = np.lexsort((column, -value, row))
    starts = np.searchsorted(row, np.arange(len(values)))  # nonzero gives the rows in order, and so does the sort
    chosen = order[starts[:, None] + np.arange(k)]
    return Ranking(value[chosen], column[chosen] + first)
