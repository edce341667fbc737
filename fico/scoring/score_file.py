"""A matrix of scores in a file that survives a kill: a memory map beside a journal of its finished tiles."""

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

FLUSH_SECONDS = 20.0  # a killed run loses no more work than this


class ScoresFile:
    """Scores that are written tile by tile.

    While it is open there are ``<path>.part``, the matrix, and ``<path>.journal``: the key in the first line, then
    the number of each tile whose scores are on disk. `finish` renames the first to ``path`` and removes the other.

    Args:
        path: The ``.npy`` to make. Its folder is made too.
        shape: Images and captions.
        dtype: Of the scores.
        key: Of `content_key`: what the scores depend on.

    Raises:
        DataError: A part with another key lies there.
    """

    def __init__(self, path: Path, shape: tuple[int, int], dtype: np.dtype, key: str) -> None:
        self._path = path
        self._part = path.with_name(f"{path.name}.part")
        self._journal = path.with_name(f"{path.name}.journal")
        self._waiting: list[int] = []
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
        """What was noted; a last line that the kill cut short does not count. Empty: nothing was begun."""
        if not (self._part.exists() and self._journal.exists()):
            return []
        *lines, _ = self._journal.read_text().split("\n")
        return lines

    def _check(self, found: str, key: str) -> None:
        if found != key:
            raise DataError(
                f"{self._part} holds a part of other scores (other embeddings, weights, settings or tile sizes); "
                f"repeat the call that began it, or delete it and {self._journal.name} to start again"
            )

    def mark(self, tile: int) -> None:
        """Note that the scores of a tile are in the map; now and then they go to disk, and then to the journal."""
        self._waiting.append(tile)
        if time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self._flush()

    def _flush(self) -> None:
        self.scores.flush()
        self._append(*self._waiting)
        self._waiting, self._flushed = [], time.monotonic()

    def _append(self, *lines: str | int) -> None:
        with self._journal.open("a") as file:
            file.writelines(f"{line}\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())

    def __enter__(self) -> "ScoresFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flush()

    def finish(self) -> Float[np.ndarray, "images texts"]:
        """Give the file its name; every tile must be in it.

        Returns:
            The scores as a read-only memory map.
        """
        self.scores.flush()
        self._part.replace(self._path)
        self._journal.unlink()
        scores: np.ndarray = np.load(self._path, mmap_mode="r")
        return scores


def content_key(
    scorer: PairScorer | Matcher, encoded: EncodedBatch, device: str, tile: tuple[int, int], mixed_precision: bool
) -> str:
    """Hash of all that the bits of the scores depend on.

    Args:
        scorer: A module's weights and settings count; of another scorer its ``repr``.
        encoded: Embeddings and lengths.
        device: Kind of device.
        tile: Images and captions per tile.
        mixed_precision: Whether matrix products are in bfloat16.

    Returns:
        64 hexadecimal digits.
    """
    threads = torch.get_num_threads()
    digest = hashlib.sha256(repr((scorer, device, tile, mixed_precision, torch.__version__, threads)).encode())
    weights = scorer.state_dict() if isinstance(scorer, nn.Module) else {}
    tensors: dict[str, Tensor | None] = {"images": encoded.images, "texts": encoded.texts}
    for name, tensor in (tensors | {"lengths": encoded.text_lengths} | weights).items():
        if tensor is not None:
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
