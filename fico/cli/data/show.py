"""``fico data show``: writes a page of samples and statistics of a data set."""

from pathlib import Path
from typing import Any

from fico.datasets import load_dataset
from fico.errors import DataError, UsageError
from fico.report.html.data_page import write_data_page
from fico.report.html.split_statistics import SplitStatistics

SPLITS = ("train", "val", "test")


def show(
    name: str, root: Path | None, *, split: str, samples: int, out: Path | None, options: dict[str, Any]
) -> tuple[Path, list[SplitStatistics], list[str]]:
    """Write the page of a data set.

    Args:
        name: Of a data set, or a folder in Karpathy form.
        root: Its folder, where ``name`` is not a folder.
        split: The split to sample from.
        samples: Number of images.
        out: Where to write; default: ``<name>-data.html`` here.
        options: Further arguments of the reader.

    Returns:
        The page's path, the numbers on it, and how the splits were made where the files do not say.

    Raises:
        UsageError: The reader has no such option, or lacks one.
        DataError: The data set is not there or broken, or has no such split.
    """
    arguments = options | ({} if root is None else {"root": root})
    try:
        dataset = load_dataset(name, **arguments)
    except UsageError as error:  # an argument that this reader does not have, or lacks
        raise UsageError(f"{error}; give --root, or leave out the others") from error
    splits = {}
    for each in dict.fromkeys((*SPLITS, split)):
        try:
            splits[each] = dataset.split(each)
        except DataError as error:
            if each == split:
                raise
            if "has no images" not in str(error):  # a part of a data set may hold one split only
                raise
    path = out or Path(f"{dataset.name}-data.html")
    notes = list(dict.fromkeys(note for found in splits.values() for note in found.notes))
    return path, write_data_page(path, dataset, splits, sample_of=split, samples=samples), notes
