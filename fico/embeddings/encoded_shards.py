"""Encoded batches of an evaluation on disk, so that a killed encoding goes on with the first batch that is missing."""

import logging
import shutil
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from fico.types import EncodedBatch
from fico.util.atomic import atomic_write
from fico.util.digests.digest import DIGEST, arrays_digest

log = logging.getLogger(__name__)
FLUSH_SECONDS = 20.0  # a killed run encodes at most this long again; a shorter encoding is not stored
FLUSH_BYTES = 2**26  # rows that wait in memory


class EncodedShards:
    """The encoded batches of one process, in shards of ``FLUSH_SECONDS`` of work or ``FLUSH_BYTES`` each.

    A shard is a safetensors file ``<rank>-<first batch>.safetensors``, written whole or not at all, whose header holds
    the key, the number of its batches, the seconds of the network so far and a digest; one that differs from it is not
    read.

    Args:
        folder: Of the shards of all processes.
        key: What the rows depend on; shards of another key are not read.
        rank: Of this process.
        is_only_copy: Whether the rows are kept nowhere else, so that a disk that refuses them is an error; else it
            costs the shards alone.
    """

    def __init__(self, folder: Path, key: str, rank: int = 0, *, is_only_copy: bool = False) -> None:
        self._folder, self._key, self._rank, self._is_only_copy = folder, key, rank, is_only_copy
        self._pending: list[dict[str, Tensor | None]] = []
        self._pending_bytes = 0
        self._flushed = time.monotonic()
        self._is_failed = False
        self.batches = 0
        """Batches that are on disk."""
        self.seconds = 0.0
        """Seconds of the network that they took."""
        self._paths: list[Path] = []
        while (header := self._header(self._path(self.batches))) is not None:
            self._paths.append(self._path(self.batches))
            self.batches, self.seconds = self.batches + int(header["batches"]), float(header["seconds"])

    def stored(self) -> Iterator[EncodedBatch]:
        """The rows on disk, one batch a shard; called before `add`."""
        for path in self._paths:
            with safe_open(path, "pt") as file:
                yield EncodedBatch(**{name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        self._flushed = time.monotonic()

    def rows(self) -> Iterator[EncodedBatch]:
        """All rows so far, those on disk first."""
        yield from self.stored()
        for batch in self._pending:
            yield EncodedBatch(**batch)  # type: ignore[arg-type]

    def add(self, batch: EncodedBatch, seconds: float) -> None:
        """Keep a batch; every ``FLUSH_SECONDS`` and ``FLUSH_BYTES`` those kept are written.

        Args:
            batch: Copied where it is not on the CPU; its tensors are not changed later.
            seconds: Of the network since the test began, with those of the stored batches.
        """
        kept = {field.name: _on_cpu(getattr(batch, field.name)) for field in fields(batch)}
        self._pending.append(kept)
        self._pending_bytes += sum(value.nbytes for value in kept.values() if value is not None)
        if time.monotonic() - self._flushed >= FLUSH_SECONDS or self._pending_bytes >= FLUSH_BYTES:
            self.flush(seconds)

    def flush(self, seconds: float) -> None:
        """Write the batches that are kept, but for the last one: an evaluation without a batch has no end."""
        *written, last = self._pending or [{}]
        if written and not self._is_failed:
            try:
                self._write(written, seconds)
            except (OSError, SafetensorError) as error:
                if self._is_only_copy:
                    raise
                self._is_failed = True
                log.warning("the encoded rows cannot be stored, so a killed run encodes them again: %s", error)
                shutil.rmtree(self._folder, ignore_errors=True)
        self._pending, self._flushed = [last] if last else [], time.monotonic()
        self._pending_bytes = sum(value.nbytes for value in last.values() if value is not None)

    def _write(self, batches: list[dict[str, Tensor | None]], seconds: float) -> None:
        values: dict[str, Tensor] = {}
        for name in batches[0]:
            parts = [value for batch in batches if (value := batch[name]) is not None]
            if parts:
                values[name] = _joined(name, parts)
        header = {"key": self._key, "batches": str(len(batches)), "seconds": repr(seconds)}
        header[DIGEST] = _digest(header, values)
        with atomic_write(self._path(self.batches)) as temporary:
            save_file(values, temporary, header)
        self._paths.append(self._path(self.batches))
        self.batches += len(batches)

    def _path(self, batch: int) -> Path:
        return self._folder / f"{self._rank}-{batch:06d}.safetensors"

    def _header(self, path: Path) -> dict[str, str] | None:
        try:
            with safe_open(path, "pt") as file:
                header: dict[str, str] = file.metadata() or {}
                if header.get("key") != self._key:
                    return None
                values = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError):
            return None
        return header if _digest(header, values) == header.get(DIGEST) else None


def _digest(header: dict[str, str], values: dict[str, Tensor]) -> str:
    as_bytes = {f"{name} {value.dtype}": value.contiguous().view(torch.uint8) for name, value in values.items()}
    return arrays_digest(header, {name: value.numpy() for name, value in as_bytes.items()})


def _on_cpu(values: Tensor | None) -> Tensor | None:
    return None if values is None else values.detach().cpu()


def _joined(name: str, parts: list[Tensor]) -> Tensor:
    """Rows of all batches; a second axis of words or regions is padded with zeros to the longest batch."""
    if parts[0].ndim > 2 or name == "text_states":  # whose second axis counts words also where they are ids
        most = max(part.shape[1] for part in parts)
        parts = [torch.nn.functional.pad(part, (*(0, 0) * (part.ndim - 2), 0, most - part.shape[1])) for part in parts]
    return torch.cat(parts).contiguous()
