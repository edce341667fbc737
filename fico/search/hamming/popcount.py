"""Exact Hamming search in compiled integer instructions."""

import importlib.util
import os
from pathlib import Path

import numpy as np

from fico.errors import UsageError
from fico.search.base import check_k
from fico.search.gpu.device import check_device, has_triton, on
from fico.search.hamming.scan import Codes, FaissCodes, ScannedCodes, scratch_bytes
from fico.search.hamming.scan import cores as cores
from fico.search.index_file import read_index, write_index
from fico.search.itq import Binariser, Coder
from fico.search.sampling import STRIDE
from fico.types import Ranking
from fico.util.arrays import Embeddings, to_array
from fico.util.resources import require_memory

WIDEST = 512  # bits; the compiled scan grows with the width, and FAISS has vector code for wide ones


class PopcountSearch:
    """Exact nearest codes by Hamming distance, ties by lowest item.

    Codes lie as bit planes. A tile of queries passes over 512 codes at a time, whose differing bits carry-save adders
    count in registers; the last carry tells which codes are within the query's limit, which a counting select
    tightens. Above 512 bits, and where numba is missing, FAISS's exhaustive search does the work; on a GPU a fused
    Triton kernel, or products of +1 and -1 where Triton is missing.

    Args:
        bits: Code length, a multiple of 8. None: the width of +-1 or 0/1 codes; for ITQ 64, or what few items
            allow.
        threads: Cores to use. None: as many as numba may (``NUMBA_NUM_THREADS``, else all of this process).
        binariser: A fitted one for floats, instead of ITQ learnt from the items of the first ``add``.
        seed: Of ITQ.
        device: Where to search, as torch names it: ``cpu``, ``cuda``, ``cuda:1``.

    Raises:
        UsageError: ``bits`` is no positive multiple of 8, ``threads`` is below 1, or the device is not there.
    """

    def __init__(
        self,
        bits: int | None = None,
        threads: int | None = None,
        binariser: Binariser | None = None,
        seed: int = 1234,
        device: str = "cpu",
    ) -> None:
        if threads is not None and threads < 1:
            raise UsageError(f"threads is {threads}; give 1 or more, or none for all cores")
        self._coder = Coder(bits, binariser, seed)
        self.threads = threads or int(os.environ.get("NUMBA_NUM_THREADS", 0)) or cores()
        self.device = device
        check_device(device)
        self._codes: Codes | None = None
        self._length = 0

    @property
    def name(self) -> str:
        """``popcount(64)``, or ``popcount(itq64)`` where floats were binarised."""
        return f"popcount({self._coder.name})"

    @property
    def bits(self) -> int | None:
        """Code length, once it is known."""
        return self._coder.bits

    @property
    def size_bytes(self) -> int:
        """Bytes of the codes as they lie in memory, and of the sample that sets the first limits."""
        return 0 if self._codes is None else self._codes.size_bytes

    @property
    def backend(self) -> str:
        """``numba`` or ``faiss``; on a device ``triton`` or ``torch``."""
        if self.device != "cpu":
            return "triton" if has_triton() else "torch"
        narrow = self.bits is None or self.bits <= WIDEST
        return "numba" if narrow and importlib.util.find_spec("numba") is not None else "faiss"

    def fit(self, items: Embeddings, queries: Embeddings | None = None) -> "PopcountSearch":
        """Decides whether rows are codes, and learns ITQ where they are floats; ``add`` does it where this was not.

        Args:
            items: Rows to learn from.
            queries: Rows of the other side to learn from too, each counting as much as an item.

        Raises:
            DataError: Too few rows for a code of 8 bits, NaN, or another width of the queries.
            UsageError: Codes whose width is no multiple of 8.
        """
        other = None if queries is None else to_array(queries, "queries")
        self._coder.fit(to_array(items, "items"), queries=other)
        return self

    def empty(self) -> "PopcountSearch":
        """A searcher with the same settings and what was learnt, without items."""
        twin = PopcountSearch(self.bits, self.threads, seed=self._coder.seed, device=self.device)
        twin._coder = self._coder
        return twin

    def add(self, items: Embeddings) -> None:
        """Takes packed ``uint8`` codes, +-1, 0/1, or floats to binarise.

        Raises:
            DataError: Codes of another width, or a row that is no code.
            UsageError: The width is no multiple of 8, or memory is short (the predicted size is named).
        """
        array = to_array(items, "items")
        if self._coder.takes_codes is None:
            self.fit(array)
        assert self.bits is not None
        require_memory(
            len(array) * self.bits // 8 + predicted_bytes(self._length + len(array), self.bits),
            f"{self._length + len(array)} codes of {self.bits} bits, which are held twice while they are put in order,",
            "add fewer or spread them over machines",
        )
        with on(self.device):
            self._take(self._coder.encode(array, "items"))

    def _take(self, codes: np.ndarray) -> None:
        if self._codes is None:
            self._codes = self._make()
        self._codes.add(codes)
        self._length += len(codes)

    def _make(self) -> Codes:
        if self.device != "cpu":
            from fico.search.hamming.gpu import codes_on

            return codes_on(self.device)
        return ScannedCodes(self.threads) if self.backend == "numba" else FaissCodes(self.threads)

    def search(self, queries: Embeddings, k: int) -> Ranking:
        """The k nearest items; scores are minus the number of differing bits, ``int32``.

        Raises:
            UsageError: Nothing was added, k is below 1 or above the number of items, or memory is short for the result
                (the predicted size is named).
            DataError: Queries of another width, or that are no codes.
        """
        k = check_k(k, self._length)
        array = to_array(queries, "queries")
        if self.device == "cpu":
            require_memory(
                predicted_bytes(0, self.bits or 0, len(array), k, self.threads),
                f"the {k} nearest items of {len(array)} queries",
                "search fewer queries at a time",
            )
        assert self._codes is not None
        with on(self.device):
            return self._codes.search(self._coder.encode(array, "queries"), k)

    def save(self, path: str | Path) -> None:
        """Writes the index to one file.

        Raises:
            UsageError: Nothing was added.
        """
        check_k(1, self._length)
        assert self._codes is not None
        settings, arrays = self._coder.state()
        write_index(Path(path), "popcount", {"coder": settings}, arrays | {"codes": self._codes.rows()})

    @classmethod
    def load(cls, path: str | Path, threads: int | None = None, device: str = "cpu") -> "PopcountSearch":
        """Reads an index that ``save`` wrote, on any device and with any backend.

        Args:
            path: The file.
            threads: Cores to search with.
            device: Where to search.

        Raises:
            DataError: The file is missing, cut off, changed, or of another version or searcher.
        """
        settings, arrays = read_index(Path(path), "popcount")
        searcher = cls(settings["coder"]["bits"], threads, device=device)
        searcher._coder = Coder.restored(settings["coder"], arrays)
        searcher._take(arrays["codes"])
        return searcher


def predicted_bytes(items: int, bits: int, queries: int = 0, k: int = 0, threads: int = 1) -> int:
    """Memory of an exact search: of the codes with their sample, of the result, and of what the threads work in.

    Args:
        items: Codes.
        bits: Code length.
        queries: Queries of one search.
        k: Places.
        threads: Cores.

    Returns:
        Bytes, without the interpreter and the codes of the queries.
    """
    words = -(-bits // 64)
    slabs = -(-items // 512) + -(-items // (512 * STRIDE))
    codes = 8 * words * 512 * slabs
    return codes + (12 * queries * k + scratch_bytes(queries, k, words, threads) if queries else 0)
