"""Where the image file that a table names lies."""

import os
from pathlib import Path, PurePosixPath, PureWindowsPath

from fico.errors import DataError

FOLDERS = ("", "images", "Images")  # below a root in which paths are looked up


class ImageLocator:
    """Finds image files by the paths that a table gives, below one folder.

    A path is relative to that folder or to ``images/`` in it; backslashes of Windows count as slashes. An absolute path
    is fine if it leads into the folder. Whatever leads out of it is refused: a table from elsewhere must not pick files
    of this machine.

    Args:
        root: The folder.
        home: Folder of the table, at or below the root, where a path is looked up first.
    """

    def __init__(self, root: Path, home: Path) -> None:
        self.root = root
        self._found: dict[str, tuple[str, Path]] = {}  # of each path as written: an image has several captions
        self._absolute = Path(os.path.normpath(root.absolute()))
        below = home.relative_to(root) if home.is_relative_to(root) else Path()
        self._starts = tuple(dict.fromkeys((below, Path())))

    def locate(self, written: object, origin: str) -> tuple[str, Path]:
        """Give the path of an image as written, normalised, and its file, which need not exist.

        Raises:
            DataError: The path is empty or no text, or leads out of the root.
        """
        if not isinstance(written, str) or not written.strip():
            raise DataError(f"{origin} names no image (it holds {written!r}); give its path, or take the row out")
        if written not in self._found:
            self._found[written] = self._locate(written, origin)
        return self._found[written]

    def _locate(self, written: str, origin: str) -> tuple[str, Path]:
        plain = written.strip().replace("\\", "/")
        inside = self._inside(plain)
        if inside is None:
            raise DataError(
                f"{origin} names the image {written}, which is outside of {self.root}; set dataset.image_root to the "
                "folder that holds the images"
            )
        for start in self._starts:
            for folder in FOLDERS:
                if (path := self.root / start / folder / inside).is_file():
                    return (start / inside).as_posix(), path
        return inside, self.root / self._starts[0] / inside

    def _inside(self, plain: str) -> str | None:
        """The path relative to the root; None if it leads out of it."""
        if PureWindowsPath(plain).drive and os.name != "nt":
            return None
        path = os.path.normpath(self._absolute / plain)
        for base in (self._absolute, self.root.resolve()):
            if Path(path).is_relative_to(base):
                return PurePosixPath(Path(path).relative_to(base)).as_posix()
        return None
