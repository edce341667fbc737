"""Resumable score files: a memory-mapped matrix and a journal of its finished tiles."""

import hashlib
import os
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from fico.errors import DataError
from fico.networks.checkpoint_io.load import weights_digest
from fico.protocols import Matcher, PairScorer
from fico.types import EncodedBatch
from fico.util.disk_errors import map_new_file, map_npy

FLUSH_SECONDS = 20.0  # a killed run loses at most this much work


class ScoreFile:
    """A score matrix that is written tile by tile and can be resumed.

    While it is open there are ``<path>.part``, the matrix, and ``<path>.journal``: the key in the first line, then of
    each tile whose scores are on disk its number, a CRC-32 of them and of the line, and the seconds of scoring up to
    it. A tile whose scores are not those of its line is scored again. `finish` renames the first to
    ``path`` and removes the other.

    Args:
        path: The ``.npy`` to write; its folder is created.
        shape: Images and captions.
        dtype: Dtype of the scores.
        key: What the scores depend on; see `score_key`.
        cells: Index of the scores of a numbered tile.
        is_kept: The journal stays until its owner removes it, so that the same call finds complete scores too; a part
            of other scores is replaced.

    Raises:
        DataError: There is a partial file with another key, and ``is_kept`` is not set.
        OSError: The disk has no space for the matrix.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int],
        dtype: np.dtype,
        key: str,
        cells: Callable[[int], Any],
        *,
        is_kept: bool = False,
    ) -> None:
        self._path, self._cells, self._is_kept = path, cells, is_kept
        self._part, self._journal = path.with_name(f"{path.name}.part"), _journal(path)
        self._pending: list[str] = []
        self._opened = self._flushed = time.monotonic()
        self._before = 0.0  # seconds of scoring in earlier processes
        self.done: set[int] = set()
        path.parent.mkdir(parents=True, exist_ok=True)
        if is_kept and self._journal.exists() and path.exists() and not self._part.exists():
            path.replace(self._part)  # complete, but what followed was interrupted
        lines = _lines(self._journal) if self._part.exists() else []
        if lines and lines[0] != key and not is_kept:
            raise DataError(
                f"{self._part} holds a part of other scores (other embeddings, weights, settings, precision, tiles); "
                f"repeat the call that began it, or delete it and {self._journal.name} to start again"
            )
        found = _mapped(self._part, shape, dtype) if lines and lines[0] == key else None
        if found is None:
            self._journal.unlink(missing_ok=True)
        self.scores = map_new_file(self._part, dtype, shape) if found is None else found
        if found is None:
            self.scores.flush()
            self._append([key])
        else:
            self._resume(lines)

    def _resume(self, lines: list[str]) -> None:
        """Take over the tiles whose scores are whole, and cut what else the journal holds."""
        whole = [lines[0]]
        for line in lines[1:]:
            match line.split(" "):
                case [tile, digest, seconds] if tile.isdecimal() and self._digest(int(tile), seconds) == digest:
                    self.done.add(int(tile))
                    self._before = float(seconds)
                    whole.append(line)
        text = "".join(f"{line}\n" for line in whole)
        if self._journal.read_text(errors="replace") != text:
            self._journal.unlink()
            self._append(whole)

    def _digest(self, tile: int, seconds: str) -> str:
        try:
            scores = zlib.crc32(np.ascontiguousarray(self.scores[self._cells(tile)]).tobytes())
            return f"{zlib.crc32(f'{tile} {seconds}'.encode(), scores):08x}"
        except (IndexError, OverflowError):  # no tile of this matrix
            return ""

    def write(self, tile: int, scores: np.ndarray) -> None:
        """Take the scores of a tile; every `FLUSH_SECONDS` the map is flushed to disk, then the journal."""
        self.scores[self._cells(tile)] = scores
        now = time.monotonic()
        seconds = f"{self._before + now - self._opened:.3f}"
        self._pending.append(f"{tile} {self._digest(tile, seconds)} {seconds}")
        if now - self._flushed >= FLUSH_SECONDS:
            self._flush()

    def _flush(self) -> None:
        self.scores.flush()
        self._append(self._pending)
        self._pending, self._flushed = [], time.monotonic()

    def _append(self, lines: list[str]) -> None:
        with self._journal.open("a") as file:
            file.writelines(f"{line}\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flush()

    def finish(self) -> Float[np.ndarray, "images texts"]:
        """Rename the complete file to its final name.

        Returns:
            The scores as a read-only memory map.
        """
        self.scores.flush()
        self._part.replace(self._path)
        self._end_journal()
        scores: np.ndarray = np.load(self._path, mmap_mode="r")
        return scores

    def drop(self) -> None:
        """Remove the file of one of several processes, whose scores were gathered."""
        if not self._is_kept:
            self._part.unlink()
        self._end_journal()

    def _end_journal(self) -> None:
        if not self._is_kept:
            self._journal.unlink()


def spent_seconds(path: Path) -> float:
    """Seconds of scoring by the journal of a score file, in all the processes that wrote it; 0 without one."""
    *_, last = _lines(_journal(path)) or [""]
    parts = last.split(" ")
    return float(parts[2]) if len(parts) == 3 else 0.0


def rank_path(path: Path, rank: int, processes: int) -> Path:
    """The score file of one of several processes."""
    return path if processes == 1 else path.with_name(f"{path.name}.{rank}of{processes}")


def _journal(path: Path) -> Path:
    return path.with_name(f"{path.name}.journal")


def _lines(journal: Path) -> list[str]:
    """Lines of a journal without a last one cut short by a kill; empty if nothing was begun."""
    if not journal.exists():
        return []
    *lines, _ = journal.read_text(errors="replace").split("\n")
    return lines


def _mapped(part: Path, shape: tuple[int, int], dtype: np.dtype) -> np.memmap | None:
    """The map of a part; None where it is none of this shape, as after a loss of power."""
    try:
        scores = map_npy(part, "r+")
    except (OSError, ValueError):
        return None
    return scores if (scores.shape, scores.dtype) == (shape, dtype) else None


def score_key(scorer: PairScorer | Matcher, encoded: EncodedBatch, device: str, tile: tuple[int, int]) -> str:
    """Hash of all that the bits of the scores depend on, the surrounding autocast too.

    Args:
        scorer: A module is known by its weights and settings, another scorer by its ``repr``.
        encoded: Embeddings and lengths.
        device: Device type.
        tile: Images and captions per tile.

    Returns:
        64 hexadecimal digits.
    """
    precision = str(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else None
    weights = weights_digest(scorer) if isinstance(scorer, nn.Module) else None
    settings = (scorer, weights, device, tile, precision, torch.__version__, torch.get_num_threads())
    digest = hashlib.sha256(repr(settings).encode())
    for name, tensor in (("images", encoded.images), ("texts", encoded.texts), ("lengths", encoded.text_lengths)):
        if tensor is not None:
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def scoring_device(scorer: PairScorer | Matcher, encoded: EncodedBatch) -> torch.device:
    """Where a scorer computes: at a module's parameters, else where the embeddings lie."""
    parameter = next(scorer.parameters(), None) if isinstance(scorer, nn.Module) else None
    return encoded.images.device if parameter is None else parameter.device
