"""What every exact Hamming search gives, wherever its codes lie."""

from typing import Protocol

import numpy as np

from fico.codes import HashCodes
from fico.types import Ranking


class CodeIndex(Protocol):
    """Codes that can be searched; ids count from 0 in the order in which the codes were added."""

    @property
    def size_bytes(self) -> int:
        """Bytes of the codes as they lie in memory."""
        ...

    def add(self, codes: HashCodes) -> None:
        """Adds codes, whose words no other code may write to."""
        ...

    def prepare(self) -> None:
        """Puts the added codes in order; after it several threads may search, until codes are added."""
        ...

    def search(self, queries: HashCodes, k: int, mask: np.ndarray | None = None) -> Ranking:
        """The k nearest codes of each query, ties by lowest id; of those that ``mask`` allows, at least k."""
        ...

    def codes(self) -> HashCodes:
        """All codes."""
        ...
