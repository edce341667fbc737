"""Resumable score files: a memory-mapped matrix and a journal of its finished tiles."""

import hashlib
import os
import time
from pathlib import Path
from types import TracebackType

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from fico.errors import DataError
from fico.protocols import Matcher, PairScorer
from fico.types import EncodedBatch

FLUSH_SECONDS = 20.0  # a killed run loses at most this much work


class ScoreFile:
    """A score matrix that is written tile by tile and can be resumed.

    While it is open there are ``<path>.part``, the matrix, and ``<path>.journal``: the key in the first line, then
    the number of each tile whose scores are on disk. `finish` renames the first to ``path`` and removes the other.

    Args:
        path: The ``.npy`` to write; its folder is created.
        shape: Images and captions.
        dtype: Dtype of the scores.
        key: What the scores depend on; see `score_key`.

    Raises:
        DataError: There is a partial file with another key.
    """

    def __init__(self, path: Path, shape: tuple[int, int], dtype: np.dtype, key: str) -> None:
        self._path = path
        self._part = path.with_name(f"{path.name}.part")
        self._journal = path.with_name(f"{path.name}.journal")
        self._pending: list[int] = []
        self._flushed = time.monotonic()
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = self._journal_lines()
        self.done = {int(line) for line in lines[1:]}
        if lines:
            self._check(lines[0], key)
            self.scores = np.lib.format.open_memmap(self._part, "r+")
        else:
            self._journal.unlink(missing_ok=True)
            self.scores = np.lib.format.open_memmap(self._part, "w+", dtype, shape)
            self.scores.flush()
            self._append(key)

    def _journal_lines(self) -> list[str]:
        """Lines of the journal without a last one cut short by the kill; empty if nothing was begun."""
        if not (self._part.exists() and self._journal.exists()):
            return []
        *lines, _ = self._journal.read_text().split("\n")
        return lines

    def _check(self, found: str, key: str) -> None:
        if found != key:
            raise DataError(
                f"{self._part} holds a part of other scores (other embeddings, weights, settings, precision, tiles); "
                f"repeat the call that began it, or delete it and {self._journal.name} to start again"
            )

    def mark(self, tile: int) -> None:
        """Mark a tile as computed; every `FLUSH_SECONDS` the map is flushed to disk, then the journal."""
        self._pending.append(tile)
        if time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self._flush()

    def _flush(self) -> None:
        self.scores.flush()
        self._append(*self._pending)
        self._pending, self._flushed = [], time.monotonic()

    def _append(self, *lines: str | int) -> None:
        with self._journal.open("a") as file:
            file.writelines(f"{line}\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())

    def __enter__(self) -> "ScoreFile":
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
        self._journal.unlink()
        scores: np.ndarray = np.load(self._path, mmap_mode="r")
        return scores


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
    settings = (scorer, device, tile, precision, torch.__version__, torch.get_num_threads())
    digest = hashlib.sha256(repr(settings).encode())
    weights = scorer.state_dict() if isinstance(scorer, nn.Module) else {}
    tensors: dict[str, Tensor | None] = {"images": encoded.images, "texts": encoded.texts}
    for name, tensor in (tensors | {"lengths": encoded.text_lengths} | weights).items():
        if tensor is not None:
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def scoring_device(scorer: PairScorer | Matcher, encoded: EncodedBatch) -> torch.device:
    """Where a scorer computes: at a module's parameters, else where the embeddings lie."""
    parameter = next(scorer.parameters(), None) if isinstance(scorer, nn.Module) else None
    return encoded.images.device if parameter is None else parameter.device
