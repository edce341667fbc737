"""Where the file of an image lies."""

import os
from collections.abc import Sequence
from pathlib import Path

COCO_NAMES = ("{:012d}.jpg", "COCO_train2014_{:012d}.jpg", "COCO_val2014_{:012d}.jpg")


class ImageFiles:
    """Finds images below a data set's folder, listing each folder once.

    An image may lie in ``images/``, in the folder of its record (``filepath``), in both, next to the JSON, or in one of
    `folders`, under the name of its record. A COCO image is found by its number: the names that the releases of
    2014 and of 2017 gave to it do as well, wherever it lies.

    Args:
        root: The data set's folder.
        folders: Further folders, relative to it.
    """

    def __init__(self, root: Path, folders: Sequence[str] = ()) -> None:
        self.root = root
        self.folders = tuple(folders)
        self._names: dict[str, frozenset[str]] = {}

    def locate(self, filename: str, filepath: str, coco_id: int | None) -> Path:
        """Give the path of an image.

        Args:
            filename: Name in the record.
            filepath: Folder in the record; may be empty.
            coco_id: Number of a COCO image.

        Returns:
            The first place that was tried where there is no such file.
        """
        names = [filename] if coco_id is None else [filename, *(name.format(coco_id) for name in COCO_NAMES)]
        folders = ("images", filepath, f"images/{filepath}", "", *self.folders)
        for folder in dict.fromkeys(folders):
            listing = self._listing(folder)
            for name in names if listing else ():
                if name in listing:
                    return Path(self.root, folder, name)
        return Path(self.root, folders[0], filename)

    def _listing(self, folder: str) -> frozenset[str]:
        if folder not in self._names:
            self._names[folder] = frozenset()
            if (self.root / folder).is_dir():
                with os.scandir(self.root / folder) as entries:
                    self._names[folder] = frozenset(entry.name for entry in entries if entry.is_file())
        return self._names[folder]
