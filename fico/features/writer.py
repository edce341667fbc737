"""Precomputed features written row by row, so that a killed run resumes where it stopped."""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fico.errors import DataError, UsageError
from fico.util.atomic import atomic_write
from fico.util.progress import track

Step = tuple[slice | int, np.ndarray]  # which rows, and their values
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
        return self.path.exists() and _read(self.path.with_suffix(".json")).get("fingerprint") == self.fingerprint

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
        state = _read(self._state)
        return state.get("fingerprint") == self.fingerprint and bool(state.get("is_filled"))

    def _fill(self, steps: Callable[[int], Iterator[Step]], total: int, progress: bool) -> None:
        rows, done = self._opened()
        saved = time.monotonic()
        label = f"Writing {self.kind}" if done == 0 else f"Writing {self.kind} (going on)"
        for number, (where, values) in enumerate(
            track(steps(done), total - done, label, is_shown=progress), start=done + 1
        ):
            rows[where] = values
            if time.monotonic() - saved >= SAVED_SECONDS:
                self._save(rows, number)
                saved = time.monotonic()
        self._check_filled(rows)
        self._save(rows, total, is_filled=True)

    def _opened(self) -> tuple[np.ndarray, int]:
        """The unfinished rows and the number of steps that filled them."""
        shape = (len(self.ids), *self.shape)
        state = _read(self._state)
        if state.get("fingerprint") == self.fingerprint and self._part.exists():
            rows = np.lib.format.open_memmap(self._part, mode="r+")
            if rows.shape == shape:
                return rows, int(state["done"])
        self._state.unlink(missing_ok=True)
        rows = np.lib.format.open_memmap(self._part, mode="w+", dtype=self.dtype, shape=shape)
        rows.reshape(len(rows), -1)[:, 0] = np.nan  # marks rows that are never filled
        self._save(rows, 0)
        return rows, 0

    def _save(self, rows: np.ndarray, done: int, is_filled: bool = False) -> None:
        assert isinstance(rows, np.memmap)
        rows.flush()
        with atomic_write(self._state) as part:
            state = {"fingerprint": self.fingerprint, "done": done, "is_filled": is_filled}
            part.write_text(json.dumps(state), encoding="utf-8")

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
        content = {"ids": list(self.ids), "origin": self.origin, "settings": dict(self.settings)}
        with atomic_write(ids_path) as part:
            part.write_text(json.dumps(content | {"fingerprint": self.fingerprint}), encoding="utf-8")
        self._state.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    """A JSON object, or nothing where there is none that is whole."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
