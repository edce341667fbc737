"""Exact search by brute force: the oracle that every other searcher is measured against."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from torch import Tensor

from fico.codes import HashCodes, check_bits, code_length
from fico.errors import UsageError
from fico.search.base import LENGTHS, SHORT_ITEMS, Ids, check_k, to_floats
from fico.search.brute_force import as_operand, nearest_of_blocks
from fico.search.gpu.device import check_device, on, owned_tensor, to_tensor
from fico.search.gpu.screened_floats import ScreenedFloats
from fico.search.gpu.to_host import to_host
from fico.search.index_file import read_index, write_index
from fico.search.item_ids import ItemIds, Mask
from fico.similarity import SIMILARITIES, Similarity
from fico.types import Ranking
from fico.util.arrays import Embeddings, owned


class ExactSearch:
    """Compares each query with each item, by blocks; equal scores are ordered by lowest item.

    Args:
        similarity: ``cosine``, ``inner``, ``euclidean`` (score: negative distance) or ``hamming`` (score: negative
            number of differing bits, integers).
        bits: Declares that rows are codes of this length; packed ones need it. Under ``hamming`` rows are codes in any
            case, and None is their width; under the others codes count as rows of +1 and -1.
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
        self._items: list[np.ndarray | HashCodes] = []
        self._ids = ItemIds()
        self._width: int | None = None

    @property
    def name(self) -> str:
        """``exact(<similarity>)``."""
        return f"exact({self.similarity})"

    @property
    def size_bytes(self) -> int:
        """Bytes of the items: words of codes under ``hamming``, ``float32`` rows otherwise; and what screens them."""
        screened = 0 if self._screened is None else self._screened.size_bytes
        return screened + sum(items.nbytes for items in self._items) + self._ids.nbytes

    def add(self, items: Embeddings | HashCodes, *, ids: Ids | None = None) -> None:
        """Copies the items; a file that is mapped for reading alone stays where it lies.

        Args:
            items: ``n x d`` floats or codes.
            ids: Their ids, whole numbers from 0 or str, with every ``add`` or with none. None: numbers from 0 on.

        Raises:
            DataError: Wrong shape, NaN, or no codes where codes are declared; ids that do not fit.
            UsageError: The width is not that of ``bits``, or the device is short of memory.
        """
        with self._ids.changing(), on(self.device):
            rows = self._owned(items)
            with self._ids.taking(len(rows), ids):
                self._take(rows)

    def remove(self, ids: Ids) -> None:
        """Makes items unfindable; their memory is free once the index is built again.

        Raises:
            DataError: An id is not held (it is named); nothing is removed then.
        """
        self._ids.remove(ids)

    def _take(self, rows: np.ndarray | HashCodes | Tensor) -> None:
        if isinstance(rows, Tensor):
            assert self._screened is not None
            self._screened.add(rows)
        else:
            self._items.append(rows)
        self._width = rows.bits if isinstance(rows, HashCodes) else rows.shape[1]

    def _owned(self, items: Embeddings | HashCodes) -> np.ndarray | HashCodes | Tensor:
        if self._screened is not None:
            there = to_tensor(self._floats(items, "items"), "items", self.device, self._width, self._shortest("items"))
            return there if self.similarity == "cosine" else owned_tensor(there, items)
        rows = self._check(items, "items")
        return rows.apart_from(items) if isinstance(rows, HashCodes) else owned(rows, items)

    def fit(self, items: Embeddings | HashCodes, queries: Embeddings | None = None) -> "ExactSearch":
        """Learns nothing but the length of codes; here so that every searcher has it."""
        if self.similarity == "hamming":
            self.bits = code_length(items, self.bits, "items")
        return self

    def clone_empty(self) -> "ExactSearch":
        """A searcher with the same settings, without items."""
        return ExactSearch(self.similarity, self.bits, self._memory_limit, self.device)

    def search(self, queries: Embeddings | HashCodes, k: int, *, allowed: Ids | None = None) -> Ranking:
        """The k nearest items.

        Args:
            queries: ``queries d`` floats or codes.
            k: Items of each query.
            allowed: Ids of the items that may be found. None: all.

        Raises:
            UsageError: Nothing was added, k is below 1 or above the number of items that may be found, or memory or
                device is short.
            DataError: Queries of another width, or with NaN.
        """
        prepare = None if self._screened is None else self._screened.rows
        with on(self.device), self._ids.searching(k, allowed, prepare) as (k, mask):
            if self._screened is not None:
                there = to_tensor(self._floats(queries, "queries"), "queries", self.device, self._width)
                screened = self._screened if mask is None else self._screened.chosen(mask)
                found = to_host(screened.search(there, k), len(there), k)
                found = found if mask is None else Ranking(found.scores, np.flatnonzero(mask)[found.indices])
            else:
                found = self._by_blocks(self._check(queries, "queries"), k, mask)
            return self._ids.named(found)

    def _by_blocks(self, rows: np.ndarray | HashCodes, k: int, mask: Mask | None) -> Ranking:
        # scores, their copy inside topk, the mask and the ids: about 16 bytes per pair
        pairs = max(1, self._memory_limit // (32 if self.similarity == "euclidean" else 16))
        width = min(self._ids.rows, max(k, 4096))
        height = max(1, pairs // width)
        parts = [self._search(rows[start : start + height], k, width, mask) for start in range(0, len(rows), height)]
        return Ranking(np.concatenate([p.scores for p in parts]), np.concatenate([p.indices for p in parts]))

    def _check(self, values: Embeddings | HashCodes, what: str) -> np.ndarray | HashCodes:
        if self.similarity == "hamming":
            return (self if self.bits else self.fit(values))._codes(values, what)
        return to_floats(self._floats(values, what), what, self._width, self._shortest(what))

    def _shortest(self, what: str) -> float:
        return SHORT_ITEMS if what == "items" and self.similarity != "cosine" else LENGTHS[0]

    def _floats(self, values: Embeddings | HashCodes, what: str) -> Embeddings:
        """Floats as they came; declared codes as +1 and -1."""
        is_code = isinstance(values, HashCodes) or self.bits is not None
        return self._codes(values, what).to_signs() if is_code else values  # type: ignore[return-value]

    def _codes(self, values: Embeddings | HashCodes, what: str) -> HashCodes:
        return HashCodes.of(values, self.bits, what)

    def save(self, path: str | Path) -> None:
        """Writes the items to one file.

        Raises:
            UsageError: Nothing was added.
        """
        check_k(1, self._ids.rows)
        ids, id_arrays = self._ids.state()
        settings = {"similarity": self.similarity, "bits": self.bits}
        held = self._items if self._screened is None else [self._screened.rows().cpu().numpy()]
        arrays = [rows.packed() if isinstance(rows, HashCodes) else rows for rows in held]
        items = {f"items{n}": rows for n, rows in enumerate(arrays)}
        write_index(Path(path), "exact", settings | {"ids": ids}, items | id_arrays)

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
        ids = settings.pop("ids", None)
        searcher = cls(**settings, device=device)
        parts = [arrays[f"items{number}"] for number in range(sum(name.startswith("items") for name in arrays))]
        for rows in parts:
            if searcher._screened is not None:
                searcher.add(rows)
            elif searcher.similarity == "hamming" and searcher.bits is not None:
                searcher._take(HashCodes.from_packed(rows, searcher.bits))
            else:
                searcher._take(rows)
        searcher._ids = ItemIds.restored(ids, arrays, sum(map(len, parts)))
        return searcher

    def _search(self, queries: np.ndarray | HashCodes, k: int, width: int, mask: Mask | None) -> Ranking:
        left = as_operand(queries, self.similarity, self.device)
        blocks = (as_operand(block, self.similarity, self.device) for block in self._blocks(width, mask))
        found = nearest_of_blocks(left, blocks, self.similarity, k)
        return found if mask is None else Ranking(found.scores, np.flatnonzero(mask)[found.indices])

    def _blocks(self, width: int, mask: Mask | None) -> Iterator[np.ndarray | HashCodes]:
        """The rows that may be found, in order, at most ``width`` at a time."""
        first = 0
        for items in self._items:
            for start in range(0, len(items), width):
                block = items[start : start + width]
                chosen = None if mask is None else mask[first : first + len(block)]
                first += len(block)
                if chosen is None or chosen.any():
                    yield block if chosen is None else block[chosen]
