"""Torch operations that one evaluation dispatches, and the bytes of its tensors: what a GPU would launch and hold.

Counted on the CPU, on data small enough for it, in as many blocks of queries as the full size takes within its memory.
"""

import math
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fico.bench.metrics.peers import Problem
from fico.correspondence import Correspondence
from fico.errors import UsageError
from fico.evaluation.engines.device_memory import plan_device
from fico.evaluation.evaluate import evaluate
from fico.evaluation.options import EvaluationOptions
from fico.evaluation.relevance import InstanceRetrieval
from fico.report.table.table import Column, Row, Table, text_cells

ROOM_BYTES = 8 * 2**30
_CPU = torch.device("cpu")


class OperationCount(TorchDispatchMode):
    """Counts the operations of a ``with`` block, and the most bytes of tensors made in it that live at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = self.peak_bytes = self._bytes = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs an operation and counts it."""
        self.operations += 1
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._hold(tensor.untyped_storage())
        return result

    def _hold(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self._known:
            self._known.add(key)
            self._bytes += size
            self.peak_bytes = max(self.peak_bytes, self._bytes)
            weakref.finalize(storage, self._release, key, size)

    def _release(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._bytes -= size


@dataclass(frozen=True, slots=True)
class Operations:
    """What one evaluation dispatched.

    Args:
        work: ``float`` or ``codes``.
        images: Number of images of the size in question.
        captions: Number of captions.
        blocks: Blocks of queries in both directions.
        operations: Torch operations.
    """

    work: str
    images: int
    captions: int
    blocks: int
    operations: int


def block_counts(images: int, captions: int, dim: int, room: int, is_codes: bool) -> tuple[int, int]:
    """Blocks of each direction within some memory."""
    options = EvaluationOptions(memory_limit=room)
    instance = InstanceRetrieval(Correspondence(np.arange(captions) * images // captions), images)
    plan = plan_device(instance, dim, np.dtype(np.float32), options, _CPU, is_codes=is_codes, classes=80)
    return -(-images // plan.i2t_rows), -(-captions // plan.t2i_rows)


def scaled_room(images: int, captions: int, scale: int, dim: int, room: int, is_codes: bool) -> int:
    """Memory in which a problem ``scale`` times smaller takes as many blocks.

    Raises:
        ValueError: There is none.
    """
    wanted = block_counts(images, captions, dim, room, is_codes)
    low, high = 1, room
    while low < high:  # the number of blocks falls with the memory
        middle = (low + high) // 2
        if _blocks_within(images // scale, captions // scale, dim, middle, is_codes) > wanted:
            low = middle + 1
        else:
            high = middle
    if _blocks_within(images // scale, captions // scale, dim, low, is_codes) != wanted:
        raise ValueError(f"no memory gives {images // scale} images {wanted} blocks; take another scale")
    return low


def _blocks_within(images: int, captions: int, dim: int, room: int, is_codes: bool) -> tuple[float, float]:
    """As ``block_counts``; infinitely many where not even one row fits."""
    try:
        return block_counts(images, captions, dim, room, is_codes)
    except UsageError:
        return math.inf, math.inf


def count_operations(
    make: Callable[[int, int, int, int], Problem],
    work: str,
    images: int,
    captions: int,
    *,
    scale: int = 10,
    dim: int = 256,
    bits: int = 64,
    room: int = ROOM_BYTES,
) -> Operations:
    """Operations of one evaluation of a size, counted on a problem ``scale`` times smaller.

    Args:
        make: Makes a problem from the numbers of images, captions, dimensions and bits.
        work: ``float`` or ``codes``.
        images: Number of images.
        captions: Number of captions.
        scale: How many times fewer of both are evaluated.
        dim: Dimensions of the embeddings.
        bits: Length of the codes.
        room: Bytes that the evaluation may take at the full size.
    """
    is_codes, width = work == "codes", bits if work == "codes" else dim
    data = make(images // scale, captions // scale, dim, bits)
    sides = (data.image_codes, data.text_codes) if is_codes else (data.images, data.texts)
    limit = scaled_room(images, captions, scale, width, room, is_codes)
    with OperationCount() as count:
        evaluate(
            *sides, Correspondence(data.pairs), labels=data.labels, similarity="hamming" if is_codes else "cosine",
            engine="torch", device="cpu", memory_limit=limit,
        )  # fmt: skip
    blocks = sum(block_counts(images, captions, width, room, is_codes))
    return Operations(work, images, captions, blocks, count.operations)


def operations_table(rows: Sequence[Operations]) -> Table:
    """Operations by size and kind of input."""
    columns = (Column("work", is_text=True), *map(Column, ("images / captions", "blocks", "torch operations")))
    cells = (
        text_cells(row.work, f"{row.images:,} / {row.captions:,}", str(row.blocks), f"{row.operations:,}")
        for row in rows
    )
    title = f"Torch operations of one evaluation, {ROOM_BYTES / 2**30:.0f} GiB of memory"
    return Table("operations", title, columns, tuple(map(Row, cells)))
