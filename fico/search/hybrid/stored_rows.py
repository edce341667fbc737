"""Float rows kept for reranking: in memory or in a mapped file, in 32, 16 or 8 bits per number."""

import platform
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fico.errors import DataError, UsageError
from fico.util.digests.cached import part_digest

RowType = Literal["float32", "float16", "int8"]
_BLOCK = 65_536
_TYPES: dict[str, type] = {"float32": np.float32, "float16": np.float16, "int8": np.int8}
_HALF = np.finfo(np.float16)
ROW_BYTES = {name: np.dtype(kind).itemsize for name, kind in _TYPES.items()}  # of one number


class StoredRows:
    """Rows that can be read one by one.

    Under ``int8`` dimension j holds ``(x_j - middle_j) / step_j``; a query is multiplied by the steps, and its
    product with the middles is added to every score.

    Args:
        kind: ``float32``, ``float16`` or ``int8``.
        path: File to keep them in. None: memory.
    """

    def __init__(self, kind: RowType, path: str | Path | None) -> None:
        self.kind = kind
        self.path = None if path is None else Path(path)
        if self.path is not None and self.path.is_dir():
            raise UsageError(f"rows_path {self.path} is a folder; give the path of a file for the floats")
        self._rows: np.ndarray | None = None
        self._added: list[np.ndarray] = []  # in memory, not yet joined to the rows
        self.length = self._clones = 0
        self._step = self._middle = np.empty(0, np.float32)

    @property
    def flat(self) -> np.ndarray:
        """All rows one after the other, as the kernel takes them."""
        flat = np.asarray(self.whole()).reshape(-1)
        return flat.view(np.uint16) if self.kind == "float16" else flat

    @property
    def _is_mapped(self) -> bool:
        return self.path is not None or isinstance(self._rows, np.memmap)

    @property
    def memory_bytes(self) -> int:
        """Bytes of the rows in memory."""
        held = sum(rows.nbytes for rows in self._added)
        return held if self._rows is None or self._is_mapped else held + self._rows.nbytes

    @property
    def disk_bytes(self) -> int:
        """Bytes of the rows in a mapped file."""
        return 0 if self._rows is None or not self._is_mapped else self._rows.nbytes

    def fit(self, train: np.ndarray) -> None:
        """Learns the range of each dimension, which ``int8`` needs; values outside are clipped.

        Raises:
            UsageError: The CPU cannot read ``float16``.
        """
        if self.kind == "float16" and not _widens_float16():
            raise UsageError("this CPU has no instruction for float16 (F16C); set rows to float32 or int8")
        if self.kind == "int8":
            low, high = train.min(axis=0), train.max(axis=0)
            self._middle = (low + high) / 2
            self._step = np.maximum((high - low) / 254, np.float32(1e-12))

    def add(self, floats: np.ndarray) -> None:
        """Appends rows; ``float32`` rows without a path are kept as they are, so no other code may write to them."""
        before, self.length = self.length, self.length + len(floats)
        if self.path is None:
            self._added.append(self._narrow(floats))
            return
        self._rows = self._grown_file(floats.shape[1])
        for start in range(0, len(floats), _BLOCK):
            block = floats[start : start + _BLOCK]
            self._rows[before + start : before + start + len(block)] = self._narrow(block)

    def whole(self) -> np.ndarray:
        """All rows as they are stored, ``items dim``."""
        if self._added:
            parts = [*([] if self._rows is None else [self._rows]), *self._added]
            self._rows = np.ascontiguousarray(parts[0]) if len(parts) == 1 else np.concatenate(parts)
            self._added = []
        assert self._rows is not None
        return self._rows

    def scaled(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Queries as the stored rows want them, and what is to be added to their products."""
        if self.kind == "int8":
            return np.ascontiguousarray(queries * self._step), queries @ self._middle
        return np.ascontiguousarray(queries), np.zeros(len(queries), np.float32)

    def _narrow(self, block: np.ndarray) -> np.ndarray:
        if self.kind == "int8":
            return np.asarray(np.clip(np.rint((block - self._middle) / self._step), -127, 127), np.int8)
        if self.kind == "float16":
            _check_half(block)
        return np.asarray(block, _TYPES[self.kind])

    def _grown_file(self, dim: int) -> np.ndarray:
        assert self.path is not None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("wb" if self._rows is None else "ab") as file:
            file.truncate(self.length * dim * np.dtype(_TYPES[self.kind]).itemsize)
        return np.memmap(self.path, _TYPES[self.kind], "r+", shape=(self.length, dim))

    def clone_empty(self) -> "StoredRows":
        """Rows of the same kind and ranges, none yet; with a path the n-th ones get it with ``.n`` appended."""
        self._clones += 1
        clone = StoredRows(self.kind, None if self.path is None else f"{self.path}.{self._clones}")
        clone._step, clone._middle = self._step, self._middle
        return clone

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Settings and arrays for an index file; mapped rows are named by their path."""
        rows = self.whole()
        path = rows.filename if self.path is None and isinstance(rows, np.memmap) else self.path
        settings: dict[str, Any] = {
            "kind": self.kind,
            "path": None if path is None else str(path),
            "offset": rows.offset if isinstance(rows, np.memmap) else 0,
            "shape": list(rows.shape),
        }
        if path is not None:
            if isinstance(rows, np.memmap):
                rows.flush()
            settings["sha256"] = part_digest(Path(path), settings["offset"], rows.nbytes)
        arrays = {"step": self._step, "middle": self._middle}
        return settings, arrays if path is not None else arrays | {"rows": np.asarray(rows)}

    @classmethod
    def restored(cls, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> "StoredRows":
        """What ``state`` described.

        Raises:
            DataError: The file of mapped rows is missing, too short or changed.
        """
        stored = cls(settings["kind"], settings["path"])
        stored.length = settings["shape"][0]
        stored._step, stored._middle = arrays["step"], arrays["middle"]
        if stored.path is None:
            stored._rows = arrays["rows"]
            return stored
        kind, shape = np.dtype(_TYPES[stored.kind]), tuple(settings["shape"])
        wanted = settings["offset"] + kind.itemsize * int(np.prod(shape))
        size = stored.path.stat().st_size if stored.path.is_file() else 0
        if size < wanted:
            raise DataError(
                f"{stored.path} has {size} bytes, but the index needs {wanted} of floats; put the file back or "
                "build the index again"
            )
        found = part_digest(stored.path, settings["offset"], wanted - settings["offset"])
        if found != settings.get("sha256", found):  # version 0.1 kept none
            raise DataError(
                f"{stored.path} was changed since the index was saved (the SHA-256 of its floats differs); put the "
                "file back or build the index again"
            )
        stored._rows = np.memmap(stored.path, kind, "r", settings["offset"], shape)
        return stored


def _check_half(block: np.ndarray) -> None:
    """Refuses rows that ``float16`` would turn into infinity or zeros.

    Raises:
        UsageError: There is such a row (it is described).
    """
    peaks = np.abs(block).max(axis=1, initial=0)
    beyond = (peaks > _HALF.max) | ((peaks > 0) & (peaks < _HALF.smallest_normal))
    if beyond.any():
        raise UsageError(
            f"a row has {peaks[beyond][0]:.1e} as its largest entry, and float16 holds {_HALF.smallest_normal:.0e} to "
            f"{_HALF.max:.0f}; set rows to float32 or int8"
        )


def _widens_float16() -> bool:
    """Whether compiled code can; without the instruction LLVM calls a function that is not there."""
    from llvmlite import binding  # type: ignore[import-untyped]

    other = platform.machine().lower() not in ("x86_64", "amd64")
    return other or bool(binding.get_host_cpu_features().get("f16c", False))
