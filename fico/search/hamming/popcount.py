"""The searcher of hash codes: exact Hamming distances by compiled kernels, on CPUs and GPUs."""

import os
from pathlib import Path

from fico.codes import HashCodes
from fico.errors import UsageError
from fico.search.base import Ids, check_k
from fico.search.gpu.device import check_device, fuses_kernels, on
from fico.search.hamming.code_index import CodeIndex
from fico.search.hamming.cpu import ScannedCodes, scratch_bytes
from fico.search.hamming.faiss_codes import FaissCodes
from fico.search.hash_encoder import HashEncoder
from fico.search.index_file import read_index, write_index
from fico.search.item_ids import ItemIds
from fico.search.itq import ITQ
from fico.search.sampling import STRIDE
from fico.types import Ranking
from fico.util.arrays import Embeddings, to_array
from fico.util.resources import cores, require_memory

WIDEST = 512  # bits; the compiled scan grows with the width, and FAISS has vector code for wide ones


class PopcountSearch:
    """Exact nearest codes by Hamming distance, ties by lowest item.

    Codes lie as bit planes. A tile of queries passes over 512 codes at a time, whose differing bits carry-save adders
    count in registers; the last carry marks which codes are within the query's limit, which a counting select
    tightens. Above 512 bits FAISS's exhaustive search does the work; on a GPU fused Triton kernels, or products of +1
    and -1 where Triton is missing or the codes are too wide for the GPU.

    Args:
        bits: Code length, a multiple of 8. It declares rows of that many columns are codes of +1 and -1 or of 1 and
            0, and ``uint8`` rows of an eighth of the columns packed codes; any other rows are floats, made into codes
            of this length by ITQ. None: rows are floats, for codes of 64 bits or what few items allow.
        threads: Cores to use. None: as many as numba may (``NUMBA_NUM_THREADS``, else all of this process).
        itq: Declares that rows are floats of any width; fitted on the items of the first ``add`` unless it is already.
        seed: Of ITQ.
        device: Where to search, as torch names it: ``cpu``, ``cuda``, ``cuda:1``.

    Raises:
        UsageError: ``bits`` is not a positive multiple of 8, ``threads`` is below 1, or the device is not there.
    """

    def __init__(
        self,
        bits: int | None = None,
        threads: int | None = None,
        itq: ITQ | None = None,
        seed: int = 1234,
        device: str = "cpu",
    ) -> None:
        if threads is not None and threads < 1:
            raise UsageError(f"threads is {threads}; give 1 or more, or none for all cores")
        self._encoder = HashEncoder(bits, itq, seed)
        self.threads = threads or int(os.environ.get("NUMBA_NUM_THREADS", 0)) or cores()
        self.device = device
        check_device(device)
        self._codes: CodeIndex | None = None
        self._ids = ItemIds()

    @property
    def name(self) -> str:
        """``popcount(64)``, or ``popcount(itq64)`` where ITQ made the codes."""
        return f"popcount({self._encoder.name})"

    @property
    def bits(self) -> int | None:
        """Code length, once it is known."""
        return self._encoder.bits

    @property
    def size_bytes(self) -> int:
        """Bytes of the codes as they lie in memory, and of the sample that sets the first limits."""
        return self._ids.nbytes + (0 if self._codes is None else self._codes.size_bytes)

    @property
    def backend(self) -> str:
        """``numba`` or ``faiss``; on a device ``triton`` or ``torch``."""
        if self.device != "cpu":
            from fico.search.hamming.gpu import fused_stages

            return "triton" if fuses_kernels(self.device) and fused_stages(self.device, self.bits or 8) else "torch"
        return "numba" if self.bits is None or self.bits <= WIDEST else "faiss"

    def fit(self, items: Embeddings | HashCodes, queries: Embeddings | None = None) -> "PopcountSearch":
        """Trains ITQ where the rows are floats; ``add`` does it from its items where this was not called.

        Args:
            items: Rows to learn from.
            queries: Rows of the other side to learn from too, each counting as much as an item.

        Raises:
            DataError: Too few rows for a code of 8 bits, NaN, or another width of the queries.
            UsageError: Codes whose width is not a multiple of 8.
        """
        self._encoder.fit(items, queries=queries)
        return self

    def clone_empty(self) -> "PopcountSearch":
        """A searcher with the same parameters and the same trained ITQ, without items."""
        clone = PopcountSearch(self.bits, self.threads, seed=self._encoder.seed, device=self.device)
        clone._encoder = self._encoder
        return clone

    def add(self, items: Embeddings | HashCodes, *, ids: Ids | None = None) -> None:
        """Adds codes, or floats to make codes of.

        Args:
            items: ``n x d`` floats, or codes in any form.
            ids: Their ids, whole numbers from 0 or str, with every ``add`` or with none. None: numbers from 0 on.

        Raises:
            DataError: Another width, a value other than a code where codes are declared, packed codes without ``bits``;
                ids that do not fit.
            UsageError: The width is not a multiple of 8, or memory is short (the predicted size is named).
        """
        rows = items if isinstance(items, HashCodes) else to_array(items, "items")
        with self._ids.changing(), on(self.device):
            if not self._encoder.is_fitted:
                self.fit(rows)
            assert self.bits is not None
            total = self._ids.rows + len(rows)
            require_memory(
                len(rows) * self.bits // 8 + predicted_bytes(total, self.bits),
                f"{total} codes of {self.bits} bits, which are held twice while they are put in order,",
                "add fewer or spread them over machines",
            )
            codes = self._encoder.encode(items, "items").apart_from(rows)
            with self._ids.taking(len(rows), ids):
                self._take(codes)

    def remove(self, ids: Ids) -> None:
        """Makes items unfindable; their memory is free once the index is built again.

        Raises:
            DataError: An id is not held (it is named); nothing is removed then.
        """
        self._ids.remove(ids)

    def _take(self, codes: HashCodes) -> None:
        if self._codes is None:
            self._codes = self._build()
        self._codes.add(codes)

    def _build(self) -> CodeIndex:
        if self.device != "cpu":
            from fico.search.hamming.gpu import codes_on

            return codes_on(self.device)
        return ScannedCodes(self.threads) if self.backend == "numba" else FaissCodes(self.threads)

    def search(self, queries: Embeddings | HashCodes, k: int, *, allowed: Ids | None = None) -> Ranking:
        """The k nearest items; scores are minus the number of differing bits, ``int32``.

        Args:
            queries: Rows of the kind of the items.
            k: Items of each query.
            allowed: Ids of the items that may be found. None: all.

        Raises:
            UsageError: Nothing was added, k is below 1 or above the number of items that may be found, or memory is
                short for the result (the predicted size is named).
            DataError: Queries of another width, or that are not codes.
        """
        with on(self.device), self._ids.searching(k, allowed, self._prepare) as (k, mask):
            codes = self._encoder.encode(queries, "queries")
            if self.device == "cpu":
                require_memory(
                    predicted_bytes(0, codes.bits, len(codes), k, self.threads),
                    f"the {k} nearest items of {len(codes)} queries",
                    "search fewer queries at a time",
                )
            assert self._codes is not None
            return self._ids.named(self._codes.search(codes, k, mask))

    def _prepare(self) -> None:
        assert self._codes is not None
        self._codes.prepare()

    def save(self, path: str | Path) -> None:
        """Writes the index to one file.

        Raises:
            UsageError: Nothing was added.
        """
        check_k(1, self._ids.rows)
        assert self._codes is not None
        (settings, arrays), (ids, id_arrays) = self._encoder.state(), self._ids.state()
        arrays = arrays | id_arrays | {"codes": self._codes.codes().packed()}
        write_index(Path(path), "popcount", {"coder": settings, "ids": ids}, arrays)

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
        searcher._encoder = HashEncoder.restored(settings["coder"], arrays)
        searcher._take(HashCodes.from_packed(arrays["codes"], settings["coder"]["bits"]))
        searcher._ids = ItemIds.restored(settings.get("ids"), arrays, len(arrays["codes"]))
        return searcher


def predicted_bytes(items: int, bits: int, queries: int = 0, k: int = 0, threads: int = 1) -> int:
    """Memory of an exact search: of the codes with their sample, of the result, and of what the threads work in.

    Args:
        items: Codes.
        bits: Code length.
        queries: Queries of one search.
        k: Items of each query.
        threads: Cores.

    Returns:
        Bytes, without the interpreter and the codes of the queries.
    """
    words = -(-bits // 64)
    slabs = -(-items // 512) + -(-items // (512 * STRIDE))
    codes = 8 * words * 512 * slabs
    return codes + (12 * queries * k + scratch_bytes(queries, k, words, threads) if queries else 0)
