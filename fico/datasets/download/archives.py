"""Unpacking archives so that it may be interrupted and repeated."""

import shutil
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from fico.errors import DataError

WORKERS = 4  # inflating runs outside Python's lock, and so does writing
SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")

OnProgress = Callable[[int, int], None]  # files so far, files in all


class DamagedArchive(DataError):
    """An archive that must be fetched again; says how it is damaged."""


def unpack(
    archive: Path,
    folder: Path,
    *,
    wanted: Sequence[str] = (),
    on_progress: OnProgress = lambda done, count: None,
    stop: threading.Event | None = None,
) -> int:
    """Unpack the files of an archive into a folder, each whole or not at all.

    A file that is there with its full size is left as it is, so that an interrupted unpacking goes on. Checksums
    of zip archives are checked for every file that is written.

    Args:
        archive: Zip or tar.
        folder: Where its paths begin.
        wanted: Names of files to take, without their folders; none takes all.
        on_progress: Called with the files so far and in all; for tar archives both are the same.
        stop: Set from outside to end soon.

    Returns:
        How many files of the archive are in the folder now.

    Raises:
        DamagedArchive: The archive is damaged or lacks a wanted file.
        DataError: It holds a path that leads out of the folder, or a file cannot be written.
    """
    stop = stop or threading.Event()
    take = _unzip if archive.suffix == ".zip" else _untar
    try:
        names = take(archive, folder, frozenset(wanted), on_progress, stop)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, NotImplementedError) as error:
        raise DamagedArchive(f"{archive} is damaged or no archive ({error}); fetch it again") from error
    if missing := sorted(set(wanted) - names):
        raise DamagedArchive(f"{archive} holds no {missing[0]}; fetch it again")
    if stop.is_set():
        raise KeyboardInterrupt
    return len(names)


def _unzip(
    archive: Path, folder: Path, wanted: frozenset[str], on_progress: OnProgress, stop: threading.Event
) -> set[str]:
    with zipfile.ZipFile(archive) as opened:
        members = [item for item in opened.infolist() if not item.is_dir() and _is_wanted(item.filename, wanted)]
    targets = {item.filename: _inside(archive, folder, item.filename) for item in members}
    for parent in {target.parent for target in targets.values()}:
        parent.mkdir(parents=True, exist_ok=True)
    count, lock = 0, threading.Lock()

    def write(items: Sequence[zipfile.ZipInfo]) -> None:
        nonlocal count
        with zipfile.ZipFile(archive) as own:  # one handle a thread: reads of a shared one wait for each other
            for item in items:
                if stop.is_set():
                    return
                target = targets[item.filename]
                if not (target.is_file() and target.stat().st_size == item.file_size):
                    with own.open(item) as source:
                        _write(source, target)
                with lock:
                    count += 1
                    on_progress(count, len(members))

    with ThreadPoolExecutor(WORKERS) as pool:
        for done in [pool.submit(write, members[start::WORKERS]) for start in range(WORKERS)]:
            try:
                done.result()
            except BaseException:
                stop.set()
                raise
    return {Path(item.filename).name for item in members}


def _untar(
    archive: Path, folder: Path, wanted: frozenset[str], on_progress: OnProgress, stop: threading.Event
) -> set[str]:
    names: set[str] = set()
    with tarfile.open(archive) as opened:
        for item in opened:
            if stop.is_set():
                break
            if not item.isfile() or not _is_wanted(item.name, wanted):
                continue
            target = _inside(archive, folder, item.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            source = opened.extractfile(item)
            if source is not None and not (target.is_file() and target.stat().st_size == item.size):
                _write(source, target)
            names.add(target.name)
            on_progress(len(names), len(names))
    return names


def _is_wanted(name: str, wanted: frozenset[str]) -> bool:
    path = Path(name)
    if path.name.startswith("._") or "__MACOSX" in path.parts:  # what macOS adds to archives
        return False
    return not wanted or path.name in wanted


def _inside(archive: Path, folder: Path, name: str) -> Path:
    target = (folder / name).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise DataError(f"{archive} holds the path {name}, which leads out of {folder}; do not use this archive")
    return target


def _write(source: IO[bytes], target: Path) -> None:
    part = target.with_name(f".{target.name}.part")
    try:
        with part.open("wb") as file:
            shutil.copyfileobj(source, file, 2**20)
        part.replace(target)
    except OSError as error:
        if isinstance(error, zipfile.BadZipFile | tarfile.TarError):
            raise
        raise DataError(
            f"{target} cannot be written ({error.strerror}); free some space and run the command again"
        ) from error
    finally:
        part.unlink(missing_ok=True)
