"""What the rivals of other libraries share: they are built once, from all items, and search by inner product."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fico.search.base import check_k, to_floats
from fico.types import Ranking
from fico.util.arrays import Embeddings


class StaticIndex:
    """An index of another library that takes all its items at once.

    Args:
        name: In tables.
        threads: Cores.
    """

    size_bytes = 0

    def __init__(self, name: str, threads: int) -> None:
        self.name, self.threads = name, threads
        self._index: Any = None
        self._length = 0

    def add(self, items: Embeddings) -> None:
        """Builds the index; once."""
        rows = np.ascontiguousarray(to_floats(items, "items"))
        self._length = len(rows)
        self._build(rows)

    def search(self, queries: Embeddings, k: int) -> Ranking:
        """The k items that the index finds."""
        k = check_k(k, self._length)
        items, distances = self._found(np.ascontiguousarray(to_floats(queries, "queries")), k)
        return Ranking(-np.asarray(distances), np.asarray(items).astype(np.int64))

    def _build(self, rows: np.ndarray) -> None:
        raise NotImplementedError

    def _found(self, rows: np.ndarray, k: int) -> tuple[Any, Any]:
        """Items and distances, least first."""
        raise NotImplementedError


def saved_bytes(save: Callable[[str], Any]) -> int:
    """Bytes of what an index writes to a path: a file, or files in a folder of that name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        save(str(path))
        return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
