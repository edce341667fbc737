"""Exact search by matrix product: the oracle that every other searcher is measured against."""

from pathlib import Path

import numpy as np

from fico.codes import check_bits, pack_codes
from fico.errors import UsageError
from fico.search.base import Similarity, check_k, to_floats
from fico.search.gpu.delivery import delivered
from fico.search.gpu.device import check_device, on, to_tensor
from fico.search.gpu.screened_floats import ScreenedFloats
from fico.search.index_file import read_index, write_index
from fico.search.products import nearest_of_blocks, prepare
from fico.types import Ranking
from fico.util.arrays import Embeddings, to_array

SIMILARITIES = ("cosine", "inner", "euclidean", "hamming")


class ExactSearch:
    """Compares each query with each item, by blocks; equal scores are ordered by lowest item.

    Args:
        similarity: ``cosine``, ``inner``, ``euclidean`` (score: negative distance) or ``hamming`` (score: negative
            number of differing bits, integers).
        bits: Code length where packed codes are given; other codes tell it by their width.
        memory_limit: Bytes for the scores of one block and what selects from them; where half precision screens, the
            device's free memory sets the blocks.
        device: Where to search, as torch names it. On a GPU large galleries of floats under ``cosine`` or ``inner`` are
            screened by products in half precision, which leave out nothing that belongs to the result.

    Raises:
        UsageError: The similarity is unknown, or the device is not there.
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
        check_device(device)
        self.similarity, self.bits, self.device = similarity, bits, device
        self._screened: ScreenedFloats | None = None
        if device != "cpu" and similarity in ("cosine", "inner"):
            self._screened = ScreenedFloats(device, similarity == "cosine")
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
        """Bytes of the items: packed codes under ``hamming``, ``float32`` rows otherwise; and what screens them."""
        screened = 0 if self._screened is None else self._screened.size_bytes
        return screened + sum(items.nbytes for items in self._items)

    def add(self, items: Embeddings) -> None:
        """Keeps the items. ``float32`` arrays, mapped ones too, are not copied in memory, nor tensors on its device.

        Raises:
            DataError: Wrong shape, NaN, or no codes under ``hamming``.
        """
        self._take(items if self._screened is not None else self._check(items, "items"))

    def _take(self, rows: Embeddings) -> None:
        if self._screened is not None:
            with on(self.device):
                rows = to_tensor(rows, "items", self.device, self._width)
                self._screened.add(rows)
        else:
            assert isinstance(rows, np.ndarray)
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
            UsageError: Nothing was added, k is below 1 or above the number of items, or memory or device is short.
            DataError: Queries of another width, or with NaN.
        """
        k = check_k(k, self._length)
        if self._screened is not None:
            with on(self.device):
                asked = to_tensor(queries, "queries", self.device, self._width)
                return delivered(self._screened.search(asked, k), len(asked), k)
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
        held = self._items if self._screened is None else [self._screened.rows().cpu().numpy()]
        write_index(Path(path), "exact", settings, {f"items{n}": rows for n, rows in enumerate(held)})

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
        blocks = (
            prepare(items[start : start + width], self.similarity, self.device)
            for items in self._items
            for start in range(0, len(items), width)
        )
        return nearest_of_blocks(left, blocks, self.similarity, k)
