"""``--dataset``, ``--root``, ``--split-key`` and ``--splits``, as several commands take them."""

from dataclasses import dataclass
from pathlib import Path

from fico.datasets import image_datasets, load_dataset
from fico.datasets.base import RetrievalDataset, RetrievalSplit
from fico.errors import UsageError

ANY_FOLDER = "karpathy"  # any folder in Karpathy form


@dataclass(frozen=True, slots=True)
class DatasetOption:
    """A data set of images and captions as the command line names it.

    Args:
        name: One of `image_datasets`, or ``karpathy`` for any folder in Karpathy form.
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
        names = sorted((*image_datasets(), ANY_FOLDER))
        if self.name not in names:
            raise UsageError(f"--dataset is {self.name!r}; give one of {', '.join(names)}")
        if self.name == "shapes":
            return load_dataset("shapes", **({} if self.root is None else {"root": self.root}))
        if self.root is None:
            raise UsageError(f"--dataset {self.name} needs --root with its folder")
        if self.name == ANY_FOLDER:
            return load_dataset(self.root, split_key=self.split_key)
        return load_dataset(self.name, root=self.root, split_key=self.split_key)

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
