"""Folders of the cache: written whole by one process, with a digest of every file, or made again."""

import json
import random
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fico.util.atomic import sha256
from fico.util.digests.cached import file_digests
from fico.util.digests.digest import DIGEST, content_digest, sealed
from fico.util.temporary import sweep_temporaries, temporary_path

MANIFEST = "manifest.json"


def ensure_folder(folder: Path, write: Callable[[Path], None], about: Mapping[str, Any] | None = None) -> None:
    """Writes a folder unless it exists and holds what was written; what killed processes left is removed.

    Args:
        folder: The folder. Its name is a function of its content, so that one of other content is no replacement.
        write: Fills an empty folder. The digests of its files are added as ``manifest.json``.
        about: What else the manifest says, for people.
    """
    sweep_temporaries(folder)
    if folder.exists():
        if not changed_files(folder):
            return
        _remove(folder)
    with _renamed_at_end(folder) as work:
        with _random_state_kept():
            write(work)
        files = {path.relative_to(work).as_posix(): sha256(path) for path in sorted(work.rglob("*")) if path.is_file()}
        manifest = sealed({**(about or {}), "files": files})
        (work / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def changed_files(folder: Path) -> list[str]:
    """Names of the files of a cached folder that are missing or not what was written, the manifest included."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = dict(content["files"])
        if content[DIGEST] != content_digest(content):
            return [MANIFEST]
    except (OSError, ValueError, KeyError, TypeError):
        return [MANIFEST]
    found = file_digests([folder / name for name in files], label=f"Checking {folder.name}")
    return [name for name, digest in zip(files, found, strict=True) if digest != files[name]]


@contextmanager
def _random_state_kept() -> Iterator[None]:
    """Gives the global generators back as they were: a run draws the same numbers whether or not a cache is filled."""
    torch = sys.modules.get("torch")  # one that is not loaded yet has drawn nothing, and begins with a random seed
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  the global generator
    state = torch and torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        if torch:
            torch.set_rng_state(state)


@contextmanager
def _renamed_at_end(folder: Path) -> Iterator[Path]:
    """Yields a temporary folder, then renames it.

    Of several processes that write the same folder at once the first to end wins, and the others discard theirs:
    the content is a function of the folder's name.
    """
    work = temporary_path(folder)
    work.mkdir(parents=True)
    try:
        yield work
        try:
            work.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _remove(folder: Path) -> None:
    """Renames a folder, which is atomic, then deletes it."""
    aside = temporary_path(folder)
    try:
        folder.rename(aside)
    except FileNotFoundError:  # another process was faster
        return
    shutil.rmtree(aside, ignore_errors=True)
