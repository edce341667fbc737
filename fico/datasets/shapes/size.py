"""What the invented scenes of a number of images take, known before they are drawn; nothing here loads torch."""

from pathlib import Path

from fico.util.cache import cache_dir
from fico.util.resources import require_disk, require_memory

VERSION = 2  # raise it when the same seed gives another data set
FEWEST_IMAGES = 20
# Of an image with its captions, as measured for 4,000 images; on the disk in blocks of 4 KiB.
_DISK_BYTES, _MEMORY_BYTES = 7_300, 7_700


def split_counts(images: int) -> dict[str, int]:
    """Images of each split, by those of the training split."""
    smaller = {"val": images // 10, "test": images // 4}
    return {"train": images} | {name: max(FEWEST_IMAGES, count) for name, count in smaller.items()}


def shapes_folder(images: int, seed: int, root: str | Path | None) -> Path:
    """The folder that holds the scenes, in ``root`` or the user's cache."""
    parent = cache_dir() / "datasets" if root is None else Path(root).expanduser()
    return parent / f"shapes-v{VERSION}-images{images}-seed{seed}"


def require_resources(images: int, folder: Path) -> None:
    """Refuse scenes that do not fit, unless they are made already.

    Raises:
        UsageError: The memory or the disk is too small; the predicted and the free bytes are named.
    """
    if folder.exists():
        return
    total = sum(split_counts(images).values())
    what = f"the {total} images that dataset.images={images} makes"
    require_memory(total * _MEMORY_BYTES, what, "lower dataset.images")
    require_disk(folder, total * _DISK_BYTES, what)
