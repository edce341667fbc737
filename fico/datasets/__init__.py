"""Data sets: readers, the embedded one, and what hands them to torch."""

from pathlib import Path
from typing import Any

from fico.datasets.base import RetrievalDataset, RetrievalSplit
from fico.datasets.karpathy import Karpathy
from fico.datasets.shapes import Shapes
from fico.datasets.wikipedia import Wikipedia

__all__ = ["Karpathy", "RetrievalDataset", "RetrievalSplit", "Shapes", "Wikipedia", "load_dataset"]


def load_dataset(name_or_path: str | Path, **options: Any) -> RetrievalDataset:
    """Open a data set.

    Args:
        name_or_path: ``"shapes"``, the embedded data set, ``"wikipedia"``, which needs a ``root``, or a folder with a
            Karpathy JSON.
        options: Arguments of `Shapes`, `Wikipedia` or `Karpathy`.

    Raises:
        UsageError: An option has a value that does not exist.
        DataError: The folder or its JSON is missing.
    """
    if name_or_path == "shapes":
        return Shapes(**options)
    if name_or_path == "wikipedia":
        return Wikipedia(**options)
    return Karpathy(name_or_path, **options)
