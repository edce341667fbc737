"""SHA-256 of many or large files, cached by size and time of change."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG

from fico.util.atomic import atomic_write, sha256
from fico.util.cache import cache_dir
from fico.util.digests.digest import DIGEST, content_digest, sealed
from fico.util.progress import track
from fico.util.resources import cores

CACHED_BYTES = 64 * 2**20  # files that hold less in all are read each time
_THREADS = 8  # hashing releases Python's lock; more than a disk serves at once
_BLOCK = 2**20

Known = dict[str, list[object]]  # size, time of change and digest by path


def file_digests(paths: Sequence[Path], *, label: str = "Reading files for their digests") -> list[str]:
    """SHA-256 of each file.

    Of files with 64 MiB and more in all the digests are kept in the cache, and a file whose size and time of change (in
    nanoseconds) are the same is not read again.

    Args:
        paths: The files.
        label: For the progress bar.

    Returns:
        In the order of the paths; empty text where there is no file, or a folder.
    """
    stamps = [_stamp(path) for path in paths]
    if sum(stamp[0] for stamp in stamps if stamp) < CACHED_BYTES:
        return [sha256(path) if stamp else "" for path, stamp in zip(paths, stamps, strict=True)]
    cache_file = cache_dir() / "digests" / f"{_name(paths)}.json"
    known = _read(cache_file)
    names = [str(path) for path in paths]
    new = {
        name: path
        for name, path, stamp in zip(names, paths, stamps, strict=True)
        if stamp and known.get(name, [])[:2] != list(stamp)
    }
    found = dict(zip(new, track(_hashed(list(new.values())), len(new), label), strict=True))
    digests = {name: found.get(name) or str(known[name][2]) for name, stamp in zip(names, stamps, strict=True) if stamp}
    if found:
        _write(cache_file, {n: [*stamp, digests[n]] for n, stamp in zip(names, stamps, strict=True) if stamp})
    return [digests.get(name, "") for name in names]


def part_digest(path: Path, start: int, length: int) -> str:
    """SHA-256 of a part of a file, cached like those of `file_digests`.

    Args:
        path: The file.
        start: Bytes before the part.
        length: Bytes of the part.

    Raises:
        OSError: The file cannot be read.
    """
    cache_file = cache_dir() / "digests" / f"{_name([path / f'{start}+{length}'])}.json"
    stamp, known = _stamp(path), _read(cache_file).get("part", [])
    if stamp is not None and known[:2] == list(stamp):
        return str(known[2])
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(start)
        while length > 0 and (block := file.read(min(length, _BLOCK))):
            digest.update(block)
            length -= len(block)
    if stamp is not None and stamp[0] >= CACHED_BYTES:
        _write(cache_file, {"part": [*stamp, digest.hexdigest()]})
    return digest.hexdigest()


def _hashed(paths: Sequence[Path]) -> Iterator[str]:
    with ThreadPoolExecutor(min(_THREADS, cores())) as pool:
        yield from pool.map(sha256, paths)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_size, status.st_mtime_ns) if S_ISREG(status.st_mode) else None


def _name(paths: Sequence[Path]) -> str:
    return hashlib.sha256("\n".join(os.path.abspath(path) for path in paths).encode()).hexdigest()[:24]  # noqa: PTH100


def _read(cache_file: Path) -> Known:
    """What is known; a damaged file counts as none."""
    try:
        content = json.loads(cache_file.read_text(encoding="utf-8"))
        return dict(content["files"]) if content[DIGEST] == content_digest(content) else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write(cache_file: Path, known: Known) -> None:
    with suppress(OSError), atomic_write(cache_file) as temporary:  # without it the files are read again
        temporary.write_text(json.dumps(sealed({"files": known})), encoding="utf-8")
