"""Where the parts of a data set lie in its folder."""

from dataclasses import dataclass
from pathlib import Path

from fico.errors import DataError

_JSON_FOLDERS = ("", "caption_datasets", "karpathy", "annotations")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of a data set lie in its folder.

    Args:
        stem: Start of the name of its Karpathy JSON.
        image_folders: Folders in which its images may lie, further to those that the JSON names.
        captions: Names of other caption files that replace the JSON.
    """

    stem: str
    image_folders: tuple[str, ...]
    captions: tuple[str, ...] = ()

    def find_json(self, root: Path) -> Path | None:
        """Give the Karpathy JSON of a folder, plain or ``.gz``, or of ``caption_datasets.zip`` unpacked in it.

        A file of exactly the usual name comes before one whose name only starts like it.

        Raises:
            DataError: There are several of the same kind.
        """
        for pattern in (f"{self.stem}.json", f"{self.stem}*.json"):
            for folder in _JSON_FOLDERS:
                found = sorted([*(root / folder).glob(pattern), *(root / folder).glob(f"{pattern}.gz")])
                if len(found) > 1:
                    names = ", ".join(path.name for path in found)
                    raise DataError(f"{root / folder} holds {len(found)} split files ({names}); keep one of them")
                if found:
                    return found[0]
        return None

    def find_captions(self, root: Path) -> Path | None:
        """Give the first of the other caption files that the folder holds."""
        return next((root / name for name in self.captions if (root / name).is_file()), None)

    def has_images(self, root: Path) -> bool:
        """Whether there is a folder for images; its content is not checked."""
        return any((root / folder).is_dir() for folder in ("images", *self.image_folders))

    def missing(self, root: Path) -> list[str]:
        """Name the parts that a folder lacks. Images may be absent where the folder holds precomputed features."""
        if not root.is_dir():
            return ["everything, as there is no such folder"]
        parts = []
        if self.find_json(root) is None and self.find_captions(root) is None:
            parts.append(f"captions and split ({self.stem}.json)")
        if not self.has_images(root) and not (root / "features").is_dir():
            parts.append(f"images ({', '.join(self.image_folders[:2])} or images)")
        return parts
