"""Precomputed features written row by row, so that a killed run resumes where it stopped."""

import hashlib
import json
import shutil
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from fico.errors import DataError, UsageError
from fico.util.atomic import atomic_write
from fico.util.digests.cached import file_digests
from fico.util.digests.digest import DIGEST, content_digest, sealed
from fico.util.disk_errors import map_npy
from fico.util.progress import track

Step = tuple[slice | int, np.ndarray]  # which rows, and their values
RowCheck = list[int]  # first row of a step, the one after its last, and the CRC-32 of what it wrote there
FILLED: RowCheck = []  # stands behind the last step of a file without gaps
SAVED_SECONDS = 30.0  # a killed run loses no more work than this


@dataclass(frozen=True, slots=True)
class RowFile:
    """A file ``features/<kind>.npy`` to be, and what it depends on.

    Args:
        root: The data set's folder.
        kind: ``vgg19``, ``regions``, ``doc2vec`` or ``bert``.
        ids: One per row.
        shape: Of one row.
        origin: One sentence on what makes the rows, stored with them.
        settings: Whatever else decides the values, as JSON takes it; a file of other settings is not gone on with.
        dtype: Of the values.
    """

    root: Path
    kind: str
    ids: Sequence[str]
    shape: tuple[int, ...]
    origin: str
    settings: Mapping[str, Any]
    dtype: str = "<f4"

    @property
    def path(self) -> Path:
        """The finished file."""
        return self.root / "features" / f"{self.kind}.npy"

    @property
    def size_bytes(self) -> int:
        """Bytes that the finished file will take."""
        return len(self.ids) * int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize

    @property
    def fingerprint(self) -> str:
        """Hash of all that decides the values."""
        content = [self.kind, list(self.ids), list(self.shape), self.origin, dict(self.settings), self.dtype]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def is_whole(self) -> bool:
        """Whether the finished file of exactly these settings is there."""
        described = _read(self.path.with_suffix(".json"))
        if not self.path.exists() or described.get("fingerprint") != self.fingerprint:
            return False
        digest = file_digests([self.path], label=f"Checking {self.path.name}")[0]
        return bool(digest == described.get("sha256", digest))  # version 0.1 kept none

    def write(
        self, steps: Callable[[int], Iterator[Step]], total: int, *, overwrite: bool = False, progress: bool = True
    ) -> Path:
        """Fill the rows and give the file its name; nothing is done where it is whole already.

        Args:
            steps: Takes a number of steps and gives those that follow, always the same ones.
            total: Number of all steps.
            overwrite: Replace a finished file of other settings.
            progress: Show a bar.

        Raises:
            UsageError: A finished file of other settings is there.
            DataError: The disk is too small, or rows were not filled (their ids are named).
        """
        if self.is_whole:
            return self.path
        self.check(overwrite=overwrite)
        if not self._is_filled():
            self._fill(steps, total, progress)
        self._name()
        return self.path

    def check(self, *, overwrite: bool = False) -> None:
        """Say early what would stop `write`.

        Raises:
            UsageError: A finished file of other settings is there.
            DataError: The disk is too small.
        """
        ids_path = self.path.with_suffix(".json")
        if self.path.exists() and ids_path.exists() and not self.is_whole and not overwrite:
            origin = _read(ids_path).get("origin", "an unknown source")
            raise UsageError(f"{self.path} is there already, from {origin}; give --overwrite to replace it")
        folder = self.path.parent
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free + (self._part.stat().st_size if self._part.exists() else 0)
        if self.size_bytes > free:
            raise DataError(
                f"{self.path} needs {self.size_bytes:,} bytes and the disk has {free:,} left; free some space or link "
                f"{folder} to a larger disk"
            )

    @property
    def _part(self) -> Path:
        return self.path.with_name(f".{self.kind}.part.npy")

    @property
    def _state(self) -> Path:
        return self.path.with_name(f".{self.kind}.part.json")

    def _is_filled(self) -> bool:
        """Whether a run was killed after its last row and before the file had all its names."""
        steps, rows = self._saved_steps(), _mapped(self._part if self._part.exists() else self.path)
        if not steps or rows is None:
            return False
        return steps[-1] == FILLED and len(_whole(rows, steps)) == len(steps)

    def _fill(self, steps: Callable[[int], Iterator[Step]], total: int, progress: bool) -> None:
        rows, done = self._opened()
        saved = time.monotonic()
        label = f"Writing {self.kind} (going on)" if done else f"Writing {self.kind}"
        for where, values in track(steps(len(done)), total - len(done), label, is_shown=progress):
            rows[where] = values
            done.append(_row_check(rows, where))
            if time.monotonic() - saved >= SAVED_SECONDS:
                self._save(rows, done)
                saved = time.monotonic()
        self._check_filled(rows)
        self._save(rows, [*done, FILLED])

    def _opened(self) -> tuple[np.ndarray, list[RowCheck]]:
        """The unfinished rows, and the steps whose rows are what they wrote."""
        shape, steps = (len(self.ids), *self.shape), self._saved_steps()
        rows = _mapped(self._part) if steps is not None else None
        if rows is not None and steps is not None and rows.shape == shape:
            return rows, _whole(rows, steps)
        self._state.unlink(missing_ok=True)
        rows = np.lib.format.open_memmap(self._part, mode="w+", dtype=self.dtype, shape=shape)
        rows.reshape(len(rows), -1)[:, 0] = np.nan  # marks rows that are never filled
        self._save(rows, [])
        return rows, []

    def _saved_steps(self) -> list[RowCheck] | None:
        """The steps by the state of an unfinished file of these settings; None without one."""
        state = _read(self._state)
        is_own = state.get("fingerprint") == self.fingerprint and state.get(DIGEST) == content_digest(state)
        return list(state["steps"]) if is_own else None

    def _save(self, rows: np.ndarray, steps: list[RowCheck]) -> None:
        assert isinstance(rows, np.memmap)
        rows.flush()
        with atomic_write(self._state) as part:
            part.write_text(json.dumps(sealed({"fingerprint": self.fingerprint, "steps": steps})), encoding="utf-8")

    def _check_filled(self, rows: np.ndarray) -> None:
        empty = np.flatnonzero(np.isnan(rows.reshape(len(rows), -1)[:, 0]))
        if len(empty):
            names = ", ".join(str(self.ids[row]) for row in empty[:3])
            raise DataError(
                f"{len(empty)} of {len(self.ids)} rows of {self.path.name} got no finite values, among them {names}; "
                "the source lacks these ids, or makes values that are NaN"
            )

    def _name(self) -> None:
        """Give the files their names: the list of ids last, without which the rows are not read."""
        ids_path = self.path.with_suffix(".json")
        if self._part.exists():
            ids_path.unlink(missing_ok=True)
            self._part.replace(self.path)
        digest = file_digests([self.path], label=f"Reading {self.path.name} for its digest")[0]
        content = {"ids": list(self.ids), "origin": self.origin, "settings": dict(self.settings)}
        with atomic_write(ids_path) as part:
            whole = sealed(content | {"fingerprint": self.fingerprint, "sha256": digest})
            part.write_text(json.dumps(whole), encoding="utf-8")
        self._state.unlink(missing_ok=True)


def _row_check(rows: np.ndarray, where: slice | int) -> RowCheck:
    start, stop, _ = slice(where, where + 1).indices(len(rows)) if isinstance(where, int) else where.indices(len(rows))
    return [start, stop, zlib.crc32(np.ascontiguousarray(rows[start:stop]).tobytes())]


def _whole(rows: np.ndarray, steps: list[RowCheck]) -> list[RowCheck]:
    """The steps up to the first one whose rows are not what it wrote."""
    return list(takewhile(lambda step: step == FILLED or _row_check(rows, slice(*step[:2])) == step, steps))


def _mapped(part: Path) -> np.memmap | None:
    """The map of an unfinished file; None where it is damaged or not there."""
    try:
        return map_npy(part, "r+")
    except (OSError, ValueError):
        return None


def _read(path: Path) -> dict[str, Any]:
    """A JSON object, or nothing where there is none that is whole."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
