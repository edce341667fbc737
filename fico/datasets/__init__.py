"""Data sets: readers, the embedded one, and recipes to get the public ones."""

import inspect
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fico.errors import UsageError

if TYPE_CHECKING:
    from fico.datasets.base import RetrievalDataset, SplitReader

__all__ = ["dataset_names", "find_reader", "image_datasets", "load_dataset"]


def load_dataset(name_or_path: str | Path, *, subset: int | None = None, **options: Any) -> "RetrievalDataset":
    """Open a data set.

    Args:
        name_or_path: Name of a reader: ``"shapes"``, the embedded data set; or one that needs a ``root``, as
            ``"coco"``, ``"flickr30k"``, ``"karpathy"``, ``"pairs"``, ``"precomp"``. Or a folder with a Karpathy JSON.
        subset: Take the first images of every split alone, so many; see `fico.datasets.subset.first_images`.
        options: Arguments of the reader's class: `Shapes`, `Coco`, ..., `Karpathy`.

    Raises:
        UsageError: An option has a value that does not exist.
        DataError: The folder or what it must hold is missing.
    """
    reader: Any = find_reader(str(name_or_path))
    if reader is None:
        reader, options = find_reader("karpathy"), {"root": name_or_path, **options}
    try:
        inspect.signature(reader).bind(**options)
    except TypeError as error:
        takes = ", ".join(inspect.signature(reader).parameters)
        raise UsageError(f"{name_or_path}: {error}; {reader.__name__} takes {takes}") from None
    opened: RetrievalDataset = reader(**options)
    if subset is None:
        return opened
    from fico.datasets.subset import first_images

    return first_images(opened, subset)


def dataset_names() -> tuple[str, ...]:
    """Names of all readers, in alphabetical order."""
    return tuple(_readers())


def image_datasets() -> tuple[str, ...]:
    """Names of the readers of images and captions; the other data sets come as features."""
    return tuple(name for name, reader in _readers().items() if not hasattr(reader, "feature_origins"))


def find_reader(name: str) -> "type[SplitReader] | None":
    """The reader that the file ``<name>.py`` defines; None where there is no such file, or it defines none."""
    home = _files().get(name)
    return None if home is None else _own_reader(home)


def _readers() -> "dict[str, type[SplitReader]]":
    found = ((name, _own_reader(home)) for name, home in sorted(_files().items()))
    return {name: reader for name, reader in found if reader is not None}


def _own_reader(home: str) -> "type[SplitReader] | None":
    from fico.datasets.base import SplitReader

    classes = [value for value in vars(import_module(home)).values() if isinstance(value, type)]
    own = (kind for kind in classes if issubclass(kind, SplitReader) and kind.__module__ == home)
    return next(own, None)


@cache
def _files() -> dict[str, str]:
    """Modules below this package by the name of their file."""
    here = Path(__file__).parent
    modules = (file.relative_to(here).with_suffix("").parts for file in here.rglob("*.py"))
    not_readers = ("__init__", "base")
    return {
        parts[-1]: ".".join((__name__, *parts))
        for parts in modules
        if parts[0] != "recipes" and parts[-1] not in not_readers
    }
