"""``--dataset``, ``--root``, ``--split-key`` and ``--splits``, as several commands take them."""

from dataclasses import dataclass
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

from fico.datasets import find_reader, image_datasets, load_dataset
from fico.datasets.base import RetrievalDataset, RetrievalSplit
from fico.errors import UsageError


@dataclass(frozen=True, slots=True)
class DatasetOption:
    """A data set of images and captions as the command line names it.

    Args:
        name: One of `fico.datasets.image_datasets`.
        root: Its folder; only ``shapes`` has a default.
        split_key: Field of the JSON that names the split of an image.
        splits: Names with commas between them.
    """

    name: str
    root: Path | None = None
    split_key: str = "split"
    splits: str = "train,val,test"

    def open(self) -> RetrievalDataset:
        """Open it.

        Raises:
            UsageError: There is no such data set, or ``root`` is missing.
            DataError: The folder or what it must hold is missing.
        """
        names = image_datasets()
        if self.name not in names:
            raise UsageError(f"--dataset is {self.name!r}; give one of {', '.join(names)}")
        arguments = signature(find_reader(self.name) or load_dataset).parameters
        options: dict[str, Any] = {} if self.root is None else {"root": self.root}
        if self.root is None and arguments["root"].default is Parameter.empty:
            raise UsageError(f"--dataset {self.name} needs --root with its folder")
        options |= {"split_key": self.split_key} if "split_key" in arguments else {}
        return load_dataset(self.name, **options)

    def read(self, dataset: RetrievalDataset) -> dict[str, RetrievalSplit]:
        """Read the splits.

        Raises:
            UsageError: No split is named.
            DataError: A split is empty or unknown (those that exist are named).
        """
        names = [name.strip() for name in self.splits.split(",") if name.strip()]
        if not names:
            raise UsageError("--splits is empty; give names with commas, such as train,val,test")
        return {name: dataset.split(name) for name in dict.fromkeys(names)}
