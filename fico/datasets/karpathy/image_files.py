"""Where the file of an image lies."""

import os
from collections.abc import Sequence
from pathlib import Path

MISSING = -1
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
        self._sizes: dict[str, dict[str, int]] = {}

    def locate(self, filename: str, filepath: str, coco_id: int | None) -> tuple[Path, int]:
        """Give the path of an image and its size.

        Args:
            filename: Name in the record.
            filepath: Folder in the record; may be empty.
            coco_id: Number of a COCO image.

        Returns:
            Path and bytes; the first place that was tried and `MISSING` where there is no such file.
        """
        names = [filename] if coco_id is None else [filename, *(name.format(coco_id) for name in COCO_NAMES)]
        folders = ("images", filepath, f"images/{filepath}", "", *self.folders)
        for folder in dict.fromkeys(folders):
            listing = self._listing(folder)
            for name in names if listing else ():
                if name in listing:
                    return self.root / folder / name, listing[name]
        return self.root / folders[0] / filename, MISSING

    def _listing(self, folder: str) -> dict[str, int]:
        if folder not in self._sizes:
            self._sizes[folder] = {}
            if (self.root / folder).is_dir():
                with os.scandir(self.root / folder) as entries:
                    self._sizes[folder] = {e.name: e.stat().st_size for e in entries if e.is_file()}
        return self._sizes[folder]
