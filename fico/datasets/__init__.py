"""Data sets: readers, the embedded one, and what hands them to torch."""

from pathlib import Path
from typing import Any

from fico.datasets.base import RetrievalDataset, RetrievalSplit
from fico.datasets.karpathy import Karpathy
from fico.datasets.shapes import Shapes

__all__ = ["Karpathy", "RetrievalDataset", "RetrievalSplit", "Shapes", "load_dataset"]


def load_dataset(name_or_path: str | Path, **options: Any) -> RetrievalDataset:
    """Open a data set.

    Args:
        name_or_path: ``"shapes"``, the embedded data set, or a folder with a Karpathy JSON.
        options: Arguments of `Shapes` or of `Karpathy`.

    Raises:
        UsageError: An option has a value that does not exist.
        DataError: The folder or its JSON is missing.
    """
    if name_or_path == "shapes":
        return Shapes(**options)
    return Karpathy(name_or_path, **options)
