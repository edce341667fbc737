"""Exact Hamming search by FAISS, for wide codes."""

import numpy as np

from fico.codes import HashCodes
from fico.search.base import faiss_threads, import_faiss
from fico.types import Ranking


class FaissCodes:
    """Wide codes for FAISS's exhaustive search.

    Args:
        threads: Cores to use.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._added: list[HashCodes] = []

    @property
    def size_bytes(self) -> int:
        """Bytes of the codes as they lie in memory."""
        return sum(codes.nbytes for codes in self._added)

    def add(self, codes: HashCodes) -> None:
        """Adds codes, whose words no other code may write to."""
        self._added.append(codes)

    def codes(self) -> HashCodes:
        """All codes."""
        self._added = [HashCodes.joined(self._added)]
        return self._added[0]

    def prepare(self) -> None:
        """Joins the added codes."""
        self.codes()

    def search(self, queries: HashCodes, k: int, mask: np.ndarray | None = None) -> Ranking:
        """The k nearest codes of each query, ties by lowest id; of those that ``mask`` allows, at least k."""
        codes = self.codes() if mask is None else self.codes()[mask]
        with faiss_threads(self.threads):
            distances, items = import_faiss().knn_hamming(_bytes(queries), _bytes(codes), k)
        order = np.lexsort((items, distances), axis=1)
        items = np.take_along_axis(items, order, 1)
        return Ranking(-np.take_along_axis(distances, order, 1), items if mask is None else np.flatnonzero(mask)[items])


def _bytes(codes: HashCodes) -> np.ndarray:
    """Words as FAISS's bytes; the zeros after a code add nothing to a distance."""
    return codes.words.view(np.uint8)
