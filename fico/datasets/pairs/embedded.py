"""Images that lie inside of a Parquet file or an archive, written once to the user's cache."""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256 as digest
from pathlib import Path
from typing import Any

from fico.datasets.pairs.pair import IMAGE_SUFFIXES
from fico.errors import PathError
from fico.util.atomic import sha256
from fico.util.cache import cache_dir
from fico.util.cached_folder import ensure_folder
from fico.util.resources import require_disk

_LOG = logging.getLogger(__name__)
ROWS = "rows.json"


@dataclass(frozen=True, slots=True)
class EmbeddedImage:
    """An image inside of another file.

    Args:
        key: What tells images of the file apart; None: their bytes.
        name: As the file calls it; may be empty.
        content: The image file's bytes.
        captions: At least one.
        split: As the file calls it; may be empty.
        origin: Where it stands, for messages.
    """

    key: str | None
    name: str
    content: bytes
    captions: list[str]
    split: str
    origin: str


@dataclass(frozen=True, slots=True)
class StoredImage:
    """The same with the image as a file of the cache."""

    key: str
    name: str
    path: Path
    captions: list[str]
    split: str
    origin: str


def stored_images(path: Path, settings: str, read: Callable[[], Iterator[EmbeddedImage]]) -> list[StoredImage]:
    """Write the images of a file to the cache, unless they are there.

    Args:
        path: The file; a changed one is read again.
        settings: What else the rows depend on.
        read: Reads them.

    Raises:
        UsageError: The cache has too little disk.
        DataError: As `read` raises it, or there is no such file.
    """

    def write(work: Path) -> None:
        require_disk(work, path.stat().st_size, f"the images of {path}")
        _LOG.info("the images of %s are written to %s, once", path, folder)
        _write(work, read())

    if not path.is_file():
        raise PathError(f"there is no file {path}; put it there")
    folder = cache_dir() / "pairs" / digest(f"{sha256(path)} {settings}".encode()).hexdigest()[:24]
    ensure_folder(folder, write)
    rows: list[dict[str, Any]] = json.loads((folder / ROWS).read_bytes())
    return [StoredImage(**{**row, "path": folder / row["path"]}) for row in rows]


def _write(folder: Path, images: Iterator[EmbeddedImage]) -> None:
    rows = []
    for image in images:
        key = digest(image.content).hexdigest()
        file = f"{key[:32]}{_suffix(image)}"
        if not (folder / file).exists():
            (folder / file).write_bytes(image.content)
        rows.append(
            {
                "key": image.key or key,
                "name": image.name or key[:16],
                "path": file,
                "captions": image.captions,
                "split": image.split,
                "origin": image.origin,
            }
        )
    (folder / ROWS).write_text(json.dumps(rows), encoding="utf-8")


def _suffix(image: EmbeddedImage) -> str:
    suffix = Path(image.name).suffix.lower()
    return suffix if suffix in IMAGE_SUFFIXES else ""
