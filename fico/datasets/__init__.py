"""Data sets: readers, the embedded one, and what hands them to torch.

The readers are loaded on first use, so that what only looks at folders needs no torch.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fico.datasets.base import RetrievalDataset as RetrievalDataset
    from fico.datasets.base import RetrievalSplit as RetrievalSplit
    from fico.datasets.feature_sets.files import FeatureFiles as FeatureFiles
    from fico.datasets.feature_sets.precomp import Precomp as Precomp
    from fico.datasets.feature_sets.wikipedia import Wikipedia as Wikipedia
    from fico.datasets.karpathy.coco import Coco as Coco
    from fico.datasets.karpathy.flickr8k import Flickr8k as Flickr8k
    from fico.datasets.karpathy.flickr30k import Flickr30k as Flickr30k
    from fico.datasets.karpathy.reader import Karpathy as Karpathy
    from fico.datasets.shapes.dataset import Shapes as Shapes

_HOME = {
    "Coco": "karpathy.coco",
    "FeatureFiles": "feature_sets.files",
    "Flickr30k": "karpathy.flickr30k",
    "Flickr8k": "karpathy.flickr8k",
    "Karpathy": "karpathy.reader",
    "Precomp": "feature_sets.precomp",
    "RetrievalDataset": "base",
    "RetrievalSplit": "base",
    "Shapes": "shapes.dataset",
    "Wikipedia": "feature_sets.wikipedia",
}
_BY_NAME = {
    "coco": "Coco",
    "features": "FeatureFiles",
    "flickr30k": "Flickr30k",
    "flickr8k": "Flickr8k",
    "precomp": "Precomp",
    "shapes": "Shapes",
    "wikipedia": "Wikipedia",
}

__all__ = [*_HOME, "image_datasets", "load_dataset"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"fico.datasets.{_HOME[name]}"), name)
    raise AttributeError(f"module 'fico.datasets' has no attribute {name!r}")


def load_dataset(name_or_path: str | Path, **options: Any) -> "RetrievalDataset":
    """Open a data set.

    Args:
        name_or_path: ``"shapes"``, the embedded data set; ``"coco"``, ``"flickr30k"``, ``"flickr8k"``, ``"precomp"``,
            ``"features"`` or ``"wikipedia"``, which need a ``root``; or a folder with a Karpathy JSON.
        options: Arguments of the reader's class: `Shapes`, `Coco`, ..., `Karpathy`.

    Raises:
        UsageError: An option has a value that does not exist.
        DataError: The folder or what it must hold is missing.
    """
    if str(name_or_path) in _BY_NAME:
        reader: RetrievalDataset = __getattr__(_BY_NAME[str(name_or_path)])(**options)
        return reader
    from fico.datasets.karpathy.reader import Karpathy

    return Karpathy(name_or_path, **options)


def image_datasets() -> tuple[str, ...]:
    """Names of the data sets that come as images and captions; the others come as features."""
    return tuple(name for name, reader in _BY_NAME.items() if not _HOME[reader].startswith("feature_sets."))
