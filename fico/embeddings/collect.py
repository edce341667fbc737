"""Collecting encoded batches into rows ordered by id: on a GPU, in memory or in temporary files."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import torch
from torch import Tensor
from torch.nn.functional import pad

from fico.errors import FicoError
from fico.types import EncodedBatch
from fico.util.disk_errors import reserve

log = logging.getLogger(__name__)

IN_MEMORY_BYTES = 2**30  # a split whose rows take more is kept in files
FREE_MULTIPLE = 4  # rows stay on a GPU that has this many times their bytes free: processes exchange copies of them
SIDES = {
    "image": ("image_ids", "images", "image_states"),
    "text": ("text_ids", "texts", "text_states", "text_lengths"),
}
FIELDS = tuple(name for names in SIDES.values() for name in names)


class Collector:
    """Collects the embeddings of a split, and the states that a re-ranker needs.

    The arrays are allocated when the first batch shows the width of the rows and are filled in the order of arrival;
    rows that arrive in the order of their ids are never copied again.

    Args:
        images: Images of the split, with the ids 0 to ``images - 1``.
        texts: Captions of the split.
        folder: Where the rows are kept when they take more than a GiB and no GPU holds them; None keeps them in
            memory. The files are unlinked at once, so that they are gone when the process ends, however it ends.
        device: Where the rows are kept; of a GPU only if it has several times their bytes free, else on the CPU.
    """

    def __init__(self, images: int, texts: int, folder: Path | None = None, device: torch.device | str = "cpu") -> None:
        self._counts = {"image": images, "text": texts}
        self._folder = folder
        self._wanted = torch.device(device)
        self.device = torch.device("cpu")
        self._is_mapped: bool | None = None
        self._arrays: dict[str, Tensor] = {}
        self._filled = {"image": 0, "text": 0}

    def add(self, batch: EncodedBatch) -> None:
        """Append the rows of a batch.

        Raises:
            FicoError: There are more rows than the split has, or the first batch shows that the folder's disk is too
                small for it.
        """
        if self._is_mapped is None:
            self._place(batch)
        for side, names in SIDES.items():
            start, ids = self._filled[side], getattr(batch, names[0])
            stop = start + len(ids)
            if stop > self._counts[side]:
                known = self.parts()[names[0]][0]
                _check(torch.cat([known.cpu().long(), ids.cpu()]), side, self._counts[side])
            for name in names:
                values = getattr(batch, name)
                if values is not None:
                    values = _stored(name, values.detach(), self.device)
                    array = self._array(name, self._counts[side], values)
                    array[start:stop] = _padded(name, values, array)
            self._filled[side] = stop

    def parts(self) -> dict[str, list[Tensor]]:
        """What `merge` takes: each field's rows in the order of arrival, not copied; empty where there are none."""
        none = torch.empty(0, device=self.device)
        return {
            name: [self._arrays[name][: self._filled[side]] if name in self._arrays else none]
            for side, names in SIDES.items()
            for name in names
        }

    def finish(self) -> EncodedBatch:
        """All rows in the order of their ids.

        Raises:
            FicoError: An id is missing, repeated or unknown. Recall over such a gallery would be invalid.
        """
        parts = self.parts()
        for side, expected in self._counts.items():
            _check(parts[f"{side}_ids"][0].cpu().long(), side, expected)
        return self.merge(parts)

    def merge(self, parts: Mapping[str, Sequence[Tensor]]) -> EncodedBatch:
        """The rows of several processes in the order of their ids, kept where this collector keeps its own.

        An id that comes several times, as from a sampler that pads the shards to equal length, is counted once: the
        first process's row is taken.

        Args:
            parts: By name what each process's `parts` holds.

        Raises:
            FicoError: An id is missing or unknown.
        """
        merged: dict[str, Tensor] = {}
        for side, names in SIDES.items():
            ids, count = [part.cpu().long() for part in parts[names[0]]], self._counts[side]
            _check(torch.cat(ids).unique(), side, count)
            merged[names[0]] = torch.arange(count)
            for name in names[1:]:
                values = [part for part in parts[name] if len(part)]
                if values:
                    merged[name] = self._ordered(name, ids, values, count)
        return EncodedBatch(**merged)

    @torch.inference_mode(False)  # batches of inference mode and others may be mixed
    def allocate(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Zeros where the rows are kept; memory-mapped files are unlinked at once."""
        if not self._is_mapped or self._folder is None:
            return torch.zeros(*shape, dtype=dtype, device=self.device)
        path = self._folder / f".encoded-{uuid4().hex}"
        values = torch.from_file(str(path), shared=True, size=torch.Size(shape).numel(), dtype=dtype)
        reserve(path)
        with suppress(PermissionError):  # Windows keeps an open file
            path.unlink()
        return values.view(*shape)

    def _ordered(self, name: str, ids: list[Tensor], values: list[Tensor], count: int) -> Tensor:
        if len(values) == 1 and torch.equal(ids[0], torch.arange(count)):
            return values[0]
        widest = max(values, key=lambda rows: rows.shape[1] if rows.ndim > 1 else 0)
        array = self.allocate((count, *widest.shape[1:]), widest.dtype)
        for own, rows in zip(reversed(ids), reversed(values), strict=True):  # the first process has the last word
            array[own.to(array.device)] = _padded(name, rows.to(array.device), array)
        return array

    def _place(self, batch: EncodedBatch) -> None:
        """Decide where the rows are kept, from the size of the first ones."""
        fields = [(getattr(batch, name), side) for side, names in SIDES.items() for name in names]
        needed = sum(self._counts[side] * _row_bytes(values) for values, side in fields if values is not None)
        if self._wanted.type != "cpu":
            free = _free_bytes(self._wanted)
            is_fitting = FREE_MULTIPLE * needed <= free
            self.device = self._wanted if is_fitting else self.device
            log.info(
                "the encoded split takes about %.2f GiB, kept on %s (%.1f GiB of %s are free)",
                needed / 2**30, self.device, free / 2**30, self._wanted,
            )  # fmt: skip
        self._is_mapped = self.device.type == "cpu" and self._folder is not None and needed > IN_MEMORY_BYTES
        if self._is_mapped and self._folder is not None:
            _check_disk(self._folder, needed)

    def _array(self, name: str, rows: int, values: Tensor) -> Tensor:
        """The array of a field, allocated or widened so that the values fit."""
        there = self._arrays.get(name)
        if there is None or (_has_words(name, there) and there.shape[1] < values.shape[1]):
            array = self.allocate((rows, *values.shape[1:]), values.dtype)
            if there is not None:
                array[:, : there.shape[1]] = there
            self._arrays[name] = array
        return self._arrays[name]


def _free_bytes(device: torch.device) -> int:
    """Bytes of a device that this process may still take; of one that cannot tell, plenty."""
    if device.type != "cuda":
        return 2**62
    reserve = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + reserve


def _check_disk(folder: Path, needed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    log.info("the encoded split takes about %.1f GiB, kept in files of %s", needed / 2**30, folder)
    if needed > free:
        raise FicoError(
            f"the encoded split takes about {needed / 2**30:.1f} GiB, but the disk of {folder} has only "
            f"{free / 2**30:.1f} free; free some, choose another folder (hydra.run.dir), or model.precision=bf16"
        )


def _has_words(name: str, values: Tensor) -> bool:
    """Whether the second axis counts words or regions; for token ids it is the last one."""
    return values.ndim > 2 or name == "text_states"


def _padded(name: str, values: Tensor, array: Tensor) -> Tensor:
    """The values, padded to as many words as the array has."""
    if not _has_words(name, values):
        return values
    return pad(values, (*(0, 0) * (values.ndim - 2), 0, array.shape[1] - values.shape[1]))


def _stored(name: str, values: Tensor, device: torch.device) -> Tensor:
    """On the device; half-precision embeddings as float32, states in the precision they were computed in."""
    is_half = name in ("images", "texts") and values.dtype in (torch.bfloat16, torch.float16)
    return (values.float() if is_half else values).to(device)


def _row_bytes(values: Tensor) -> int:
    return values[:1].numel() * values.element_size() if len(values) else 0


def _check(ids: Tensor, side: str, expected: int) -> None:
    if len(ids) == 0:
        raise FicoError(f"no {side} was encoded, but the split has {expected}")
    counts = torch.bincount(ids, minlength=expected)
    unexpected = (counts != 1).nonzero().flatten().tolist()
    if len(counts) > expected or unexpected:
        raise FicoError(
            f"the encoded {side}s are not those of the split: expected each of {expected} ids once, got {len(ids)}; "
            f"first ids that differ: {[(row, int(counts[row])) for row in unexpected[:5]]} (id, times); "
            "the sampler must neither repeat nor drop items"
        )
