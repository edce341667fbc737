"""The rows of all processes, gathered by torchmetrics in pieces."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors

from fico.util.processes import gather_objects

PIECE_BYTES = 64 * 2**20

Allocate = Callable[[Sequence[int], torch.dtype], Tensor]


def gather_uneven_rows(rows: Tensor, group: Any = None, *, allocate: Allocate) -> list[Tensor]:
    """Rows of every process that has any; a ``dist_sync_fn`` of torchmetrics.

    Rows that are kept in memory or in files pass through the GPU where the processes talk by NCCL. A piece at a time is
    on its way, so that a split larger than memory can be gathered.

    Args:
        rows: ``rows ...``; an empty vector where this process has none.
        group: Process group; None for all processes.
        allocate: Makes the array for the rows of one process from its shape and dtype.
    """
    kinds = gather_objects((tuple(rows.shape), rows.dtype), group)
    shape, dtype = max(kinds, key=lambda kind: kind[0][0])
    if shape[0] == 0:
        return [rows]
    if len(rows) == 0:  # torchmetrics gathers tensors of as many axes and the same dtype
        rows = torch.empty((0, *shape[1:]), dtype=dtype, device=rows.device)
    step = max(1, PIECE_BYTES * shape[0] // (torch.Size(shape).numel() * dtype.itemsize))
    device = torch.device("cuda", torch.cuda.current_device()) if dist.get_backend(group) == "nccl" else rows.device
    gathered = [allocate(shape, dtype) if shape[0] else None for shape, _ in kinds]
    for start in range(0, shape[0], step):
        pieces = gather_all_tensors(rows[start : start + step].to(device), group)
        for whole, piece in zip(gathered, pieces, strict=True):
            if whole is not None:
                whole[start : start + len(piece)] = piece
    return [whole for whole in gathered if whole is not None]
