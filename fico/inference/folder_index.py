"""The embeddings of a user's folder of images, kept in the user's cache and updated when files change."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from fico.errors import DataError, PathError
from fico.inference.gallery import Images
from fico.util.atomic import atomic_write
from fico.util.cache import cache_dir
from fico.util.digests.digest import DIGEST, arrays_digest
from fico.util.progress import ProgressBar

SUFFIXES = frozenset([".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"])
BLOCK = 32  # files embedded at once
Encode = Callable[[Mapping[str, Path]], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class FolderIndex:
    """Images of a folder.

    Args:
        images: Those that could be read; ids are paths below the folder.
        left_out: Why each other file was left out.
        encoded: How many files were embedded now; the others were known.
    """

    images: Images
    left_out: tuple[str, ...]
    encoded: int


def index_folder(folder: Path, encode: Encode, key: str, *, progress: bool = True) -> FolderIndex:
    """Embed the images of a folder and of those below it, but those that are known already.

    Args:
        folder: The user's.
        encode: Takes files by name and returns an embedding of each.
        key: What the embeddings depend on besides the files: the weights.
        progress: Show a bar.

    Raises:
        DataError: There is no such folder, or no image in it that can be read.
    """
    files = _image_files(folder)
    cache = cache_dir() / "folders" / f"{_digest(str(folder.resolve()), key)}.safetensors"
    stamps = {name: _stamp(path) for name, path in files.items()}
    old_stamps, old = _read(cache)
    known = {name: old[name] for name in files if name in old and old_stamps.get(name) == stamps[name]}
    new = {name: path for name, path in files.items() if name not in known}
    left_out: list[str] = []
    try:
        known.update(_encoded(new, encode, left_out, progress))
    finally:  # an interrupted indexing goes on where it stopped
        if known and (set(new) & set(known) or set(old) != set(known)):
            _write(cache, known, {name: stamps[name] for name in known})
    if not known:
        raise DataError(f"no image in {folder} can be read: {left_out[0]}")
    names = [name for name in files if name in known]
    images = Images(torch.stack([known[name] for name in names]), tuple(names), tuple(files[name] for name in names))
    return FolderIndex(images, tuple(left_out), len(new) - len(left_out))


def _image_files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise PathError(f"there is no folder {folder}; give one with images")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise DataError(f"there is no image in {folder}, nor below it ({', '.join(sorted(SUFFIXES))})")
    return {path.relative_to(folder).as_posix(): path for path in found}


def _encoded(
    files: Mapping[str, Path], encode: Encode, left_out: list[str], progress: bool
) -> Iterator[tuple[str, Tensor]]:
    """Embeddings by name; a block with a file that cannot be read is embedded one by one."""
    names = list(files)
    with ProgressBar(len(names), "Indexing images", is_shown=progress) as bar:
        for start in range(0, len(names), BLOCK):
            block = {name: files[name] for name in names[start : start + BLOCK]}
            try:
                yield from zip(block, encode(block), strict=True)
            except DataError:
                for name, path in block.items():
                    try:
                        yield name, encode({name: path})[0]
                    except DataError as error:
                        left_out.append(str(error))
            bar.advance(len(block))


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _read(cache: Path) -> tuple[dict[str, list[int]], dict[str, Tensor]]:
    """What the cache holds; a damaged file counts as none."""
    try:
        with safe_open(cache, "pt") as file:
            header: dict[str, str] = file.metadata()
            stamps: dict[str, list[int]] = json.loads(header["files"])
            vectors: Tensor = file.get_tensor("vectors")
        if header[DIGEST] != _header(stamps, vectors)[DIGEST]:
            return {}, {}
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return {}, {}
    return stamps, dict(zip(stamps, vectors, strict=True)) if len(stamps) == len(vectors) else {}


def _write(cache: Path, vectors: Mapping[str, Tensor], stamps: Mapping[str, Sequence[int]]) -> None:
    with atomic_write(cache) as temporary:
        stacked = torch.stack(list(vectors.values()))
        save_file({"vectors": stacked}, temporary, _header(stamps, stacked))


def _header(stamps: Mapping[str, Sequence[int]], vectors: Tensor) -> dict[str, str]:
    header = {"files": json.dumps(stamps)}
    return header | {DIGEST: arrays_digest(header, {"vectors": vectors.numpy()})}


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]
