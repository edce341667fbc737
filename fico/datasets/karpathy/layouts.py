"""What the folders of the well-known data sets hold, and a look at them before anything heavy is imported."""

from dataclasses import dataclass
from pathlib import Path

from fico.errors import DataError

_JSON_FOLDERS = ("", "caption_datasets", "karpathy", "annotations")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of a data set lie in its folder.

    Args:
        stem: Begin of the name of its Karpathy JSON.
        image_folders: Folders in which its images may lie, beside those that the JSON names.
        captions: Names of other caption files that do instead of the JSON.
    """

    stem: str
    image_folders: tuple[str, ...]
    captions: tuple[str, ...] = ()

    def find_json(self, root: Path) -> Path | None:
        """Give the Karpathy JSON of a folder, plain or ``.gz``, or of ``caption_datasets.zip`` unpacked in it.

        A file of exactly the usual name comes before one whose name only begins like it.

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

    def has_images(self, root: Path) -> bool:
        """Whether there is a folder for images; what lies in it is not looked at."""
        return any((root / folder).is_dir() for folder in ("images", *self.image_folders))


LAYOUTS = {
    "coco": Layout(
        "dataset_coco",
        (
            *("train2014", "val2014", "train2017", "val2017"),
            *("images/train2014", "images/val2014", "images/train2017", "images/val2017"),
        ),
    ),
    "flickr30k": Layout(
        "dataset_flickr30k", ("flickr30k-images", "flickr30k_images"), ("results_20130124.token", "results.token")
    ),
    "flickr8k": Layout("dataset_flickr8k", ("Flicker8k_Dataset", "Flickr8k_Dataset"), ("Flickr8k.token.txt",)),
}


def check_prepared(name: str, root: str | Path) -> None:
    """Refuse a folder that is not there, or that does not hold what a well-known data set consists of.

    Images may be absent where features lie beside the data set. ``shapes`` makes its folder itself.

    Args:
        name: ``coco``, ``flickr30k``, ``flickr8k`` or any other.
        root: The folder, or the path of its Karpathy JSON.

    Raises:
        DataError: One sentence on what is missing and the command that gets it.
    """
    layout, folder = LAYOUTS.get(name), Path(root).expanduser()
    if layout is None and name != "shapes" and not folder.exists():
        raise DataError(f"there is no folder {folder} with the data set {name}; correct dataset.root")
    if layout is None or folder.is_file():
        return
    missing = []
    if folder.is_dir():
        if layout.find_json(folder) is None and not any((folder / file).is_file() for file in layout.captions):
            missing.append(f"captions and split ({layout.stem}.json)")
        if not layout.has_images(folder) and not (folder / "features").is_dir():
            missing.append(f"images ({', '.join(layout.image_folders[:2])} or images)")
    else:
        missing.append("everything, as there is no such folder")
    if missing:
        raise DataError(
            f"the data set {name} is not whole in {folder}: missing {' and '.join(missing)}; run "
            f"`fico prepare {name} --root {root}`, or set dataset.root to the folder that holds it"
        )
