"""Collecting encoded batches into arrays ordered by id, in memory or in temporary files."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import torch
from torch import Tensor
from torch.nn.functional import pad

from fico.errors import FicoError
from fico.types import EncodedBatch

log = logging.getLogger(__name__)

IN_MEMORY_BYTES = 2**30  # a split whose rows take more is kept in files
PART_BYTES = 64 * 2**20  # of one exchange between processes
SIDES = {"image": ("images", "image_states"), "text": ("texts", "text_states", "text_lengths")}


class Collector:
    """Collects the embeddings of a split, and the states that a re-ranker needs.

    The arrays are allocated when the first batch shows the width of the rows; nothing is held twice.

    Args:
        images: Images of the split, with the ids 0 to ``images - 1``.
        texts: Captions of the split.
        folder: Where the rows are kept when they take more than a GiB; None keeps them in memory. The files are
            unlinked at once, so that they are gone when the process ends, however it ends.
    """

    def __init__(self, images: int, texts: int, folder: Path | None = None) -> None:
        self._counts = {"image": images, "text": texts}
        self._folder = folder
        self._is_mapped: bool | None = None
        self._arrays: dict[str, Tensor] = {}
        self._ids: dict[str, list[Tensor]] = {"image": [], "text": []}

    def add(self, batch: EncodedBatch) -> None:
        """Write the rows of a batch at their ids.

        Raises:
            FicoError: The first batch shows that the folder's disk is too small for the split.
        """
        if self._is_mapped is None:
            self._is_mapped = self._wants_files(batch)
        for side, names in SIDES.items():
            ids = getattr(batch, f"{side}_ids").cpu()
            self._ids[side].append(ids)
            is_known = ids < self._counts[side]
            for name in names:
                values = getattr(batch, name)
                if values is not None:
                    values = _stored(name, values.detach())
                    array = self._array(name, self._counts[side], values)
                    array[ids[is_known]] = _padded(name, values[is_known], array)

    def parts(self) -> Iterator[EncodedBatch]:
        """The rows added so far, in pieces for another process."""
        ids = {side: torch.cat([torch.empty(0, dtype=torch.int64), *parts]) for side, parts in self._ids.items()}
        sizes = {
            side: max(1, PART_BYTES // max(1, sum(_row_bytes(self._arrays[n]) for n in names if n in self._arrays)))
            for side, names in SIDES.items()
        }
        pieces = {side: ids[side].split(sizes[side]) for side in SIDES}
        for number in range(max(map(len, pieces.values())) if self._arrays else 0):
            rows = {side: part[number] if number < len(part) else ids[side][:0] for side, part in pieces.items()}
            fields = {
                name: self._arrays[name][rows[side]]
                for side, names in SIDES.items() for name in names if name in self._arrays
            }  # fmt: skip
            yield EncodedBatch(image_ids=rows["image"], text_ids=rows["text"], **fields)

    def finish(self) -> EncodedBatch:
        """All rows in the order of their ids.

        Raises:
            FicoError: An id is missing, repeated or unknown. Recall over such a gallery would be invalid.
        """
        for side, expected in self._counts.items():
            _check(self._ids[side], side, expected)
        ids = {f"{side}_ids": torch.arange(count) for side, count in self._counts.items()}
        return EncodedBatch(**ids, **self._arrays)

    def _wants_files(self, batch: EncodedBatch) -> bool:
        fields = [(getattr(batch, name), side) for side, names in SIDES.items() for name in names]
        needed = sum(self._counts[side] * _row_bytes(values) for values, side in fields if values is not None)
        if self._folder is None or needed <= IN_MEMORY_BYTES:
            return False
        self._folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self._folder).free
        log.info("the encoded split takes about %.1f GiB, kept in files of %s", needed / 2**30, self._folder)
        if needed > free:
            raise FicoError(
                f"the encoded split takes about {needed / 2**30:.1f} GiB, but the disk of {self._folder} has only "
                f"{free / 2**30:.1f} free; free some, choose another folder (hydra.run.dir), or model.precision=bf16"
            )
        return True

    def _array(self, name: str, rows: int, values: Tensor) -> Tensor:
        """The array of a field, allocated or widened so that the values fit."""
        there = self._arrays.get(name)
        if there is None or (_has_words(name, there) and there.shape[1] < values.shape[1]):
            array = self._allocate((rows, *values.shape[1:]), values.dtype)
            if there is not None:
                array[:, : there.shape[1]] = there
            self._arrays[name] = array
        return self._arrays[name]

    def _allocate(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Zeros; memory-mapped from a file that is unlinked at once."""
        if not self._is_mapped or self._folder is None:
            return torch.zeros(shape, dtype=dtype)
        path = self._folder / f".encoded-{uuid4().hex}"
        values = torch.from_file(str(path), shared=True, size=torch.Size(shape).numel(), dtype=dtype)
        with suppress(PermissionError):  # Windows keeps an open file
            path.unlink()
        return values.view(shape)


def _has_words(name: str, values: Tensor) -> bool:
    """Whether the second axis counts words or regions; for token ids it is the last one."""
    return values.ndim > 2 or name == "text_states"


def _padded(name: str, values: Tensor, array: Tensor) -> Tensor:
    """The values, padded to as many words as the array has."""
    if not _has_words(name, values):
        return values
    return pad(values, (*(0, 0) * (values.ndim - 2), 0, array.shape[1] - values.shape[1]))


def _stored(name: str, values: Tensor) -> Tensor:
    """On the CPU; half-precision embeddings as float32, states in the precision they were computed in."""
    is_half = name in ("images", "texts") and values.dtype in (torch.bfloat16, torch.float16)
    return (values.float() if is_half else values).cpu()


def _row_bytes(values: Tensor) -> int:
    return values[:1].numel() * values.element_size() if len(values) else 0


def _check(parts: list[Tensor], side: str, expected: int) -> None:
    if not parts:
        raise FicoError(f"no {side} was encoded, but the split has {expected}")
    ids = torch.cat(parts)
    counts = torch.bincount(ids, minlength=expected)
    unexpected = (counts != 1).nonzero().flatten().tolist()
    if len(counts) > expected or unexpected:
        raise FicoError(
            f"the encoded {side}s are not those of the split: expected each of {expected} ids once, got {len(ids)}; "
            f"first ids that differ: {[(row, int(counts[row])) for row in unexpected[:5]]} (id, times); "
            "the sampler must neither repeat nor drop items"
        )
