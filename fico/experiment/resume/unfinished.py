"""Unfinished runs: the mark that a run leaves in its folder until it has ended, and how the same command finds it.

Nothing here imports PyTorch, as the folder is chosen before the first line of the log.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from fico.util.atomic import atomic_write
from fico.util.digests.digest import DIGEST, content_digest, sealed
from fico.util.locks.folder_lock import is_locked

MARK = "unfinished.json"
ENCODED = "encoded"  # folder of the encoded shards
SCORES = ("scores.npy", "rerank.npy")


@dataclass(slots=True)
class Unfinished:
    """What is known of a run that has begun and not ended; stored as ``unfinished.json`` in its folder.

    Args:
        folder: The run's.
        request: Digest of config and code.
        started: UTC time of the first start, ISO 8601.
        key: Digest of config, data and code; None until the data were read.
        fitted: After the training: the checkpoint to test and the notes on how the training ended.
        is_resumed: Whether what a killed process left is used (``run.resume=auto``); not stored.
    """

    folder: Path
    request: str
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    key: str | None = None
    fitted: dict[str, Any] | None = None
    is_resumed: bool = True

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The mark of a folder; None where there is none that can be read."""
        try:
            values: Any = json.loads((folder / MARK).read_text(encoding="utf-8"))
            return cls(folder, **values) if values.pop(DIGEST) == content_digest(values) else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write(self) -> None:
        """Write the mark, replacing an earlier one."""
        values = {name: value for name, value in asdict(self).items() if name not in ("folder", "is_resumed")}
        with atomic_write(self.folder / MARK) as temporary:
            temporary.write_text(json.dumps(sealed(values), indent=1), encoding="utf-8")

    def end(self) -> None:
        """The run has ended: remove the mark and what only a resumed run would have read."""
        _clear_parts(self.folder)
        (self.folder / MARK).unlink(missing_ok=True)

    def begin(self, key: str, *, is_writer: bool) -> bool:
        """Go on with the run of this key, or drop what one of another key left.

        Args:
            key: Of the run that starts now.
            is_writer: Whether this process writes the folder; the others, which begin later, read what it wrote.

        Returns:
            Whether the folder holds an earlier part of this very run.
        """
        if not is_writer:
            found = Unfinished.read(self.folder)
            self.key, self.fitted = key, None if found is None or found.key != key else found.fitted
        elif self.key != key:
            self.key, self.fitted = key, None
            _clear_parts(self.folder, is_complete=True)
            self.write()
            return False
        return True


def find_folder(fresh: Path, request: Callable[[], str]) -> Path:
    """The folder of the unfinished run that a request would repeat, else a new one.

    Args:
        fresh: Folder of a new run, ``ROOT/DATE/NAME``; those of earlier runs are looked for under the same root.
        request: Gives the digest of config and code; not called where no run is unfinished.

    Returns:
        The youngest one that no process is writing.
    """
    marks = sorted(fresh.parent.parent.glob(f"*/*/{MARK}"), reverse=True)
    wanted = request() if marks else ""
    for mark in marks:
        found = Unfinished.read(mark.parent)
        if found is not None and found.request == wanted and not is_locked(mark.parent):
            return mark.parent
    return fresh


def _clear_parts(folder: Path, *, is_complete: bool = False) -> None:
    """Remove encoded shards and the journals of scores; of another run its scores too."""
    shutil.rmtree(folder / ENCODED, ignore_errors=True)
    for name in SCORES:
        for path in folder.glob(f"{name}*"):
            if is_complete or path.name != name:
                path.unlink(missing_ok=True)
