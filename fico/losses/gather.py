"""Gathering of rows over the ranks of distributed training, for losses over the global batch."""

from typing import Any, Literal

import torch
import torch.distributed as dist
from jaxtyping import Float, Shaped
from torch import Tensor

from fico.util.processes import rank_and_world_size

Gradient = Literal["none", "local", "all"]


def gather_rows(rows: Shaped[Tensor, "local ..."], gradient: Gradient = "none") -> Shaped[Tensor, "gathered ..."]:
    """Concatenate the rows of all ranks, in their order.

    Args:
        rows: Of this rank; as many on every rank. In a single process they are returned as they are.
        gradient: Gradient with respect to ``rows``. ``none``: none, not even in a single process. ``local``: of the
            loss of this rank. ``all``: of the sum over the losses of all ranks.

    Returns:
        Rows of all ranks; those of this rank start at ``rank * local``.
    """
    if gradient == "none":
        rows = rows.detach()
    rank, processes = rank_and_world_size()
    if processes == 1:
        return rows
    if gradient == "all":
        gathered: Tensor = _GatherAll.apply(rows)  # type: ignore[no-untyped-call]
        return gathered
    parts = _parts(rows)
    parts[rank] = rows  # the tensor itself, so that its gradient flows
    return torch.cat(parts)


def max_over_ranks(number: int, device: torch.device) -> int:
    """Maximum over the ranks, such as the width to which all pad."""
    if rank_and_world_size()[1] == 1:
        return number
    maximum = torch.tensor(number, device=device)
    dist.all_reduce(maximum, dist.ReduceOp.MAX)
    return int(maximum)


def local_rows(local: int, gathered: int) -> slice:
    """Slice of the rows of this rank among the gathered ones."""
    start = rank_and_world_size()[0] * local if gathered > local else 0
    return slice(start, start + local)


def _parts(rows: Tensor) -> list[Tensor]:
    parts = [torch.empty_like(rows) for _ in range(rank_and_world_size()[1])]
    dist.all_gather(parts, rows.detach().contiguous())
    return parts


class _GatherAll(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Float[Tensor, "local ..."]) -> Float[Tensor, "gathered ..."]:
        ctx.local = len(rows)
        return torch.cat(_parts(rows))

    @staticmethod
    def backward(ctx: Any, gradient: Float[Tensor, "gathered ..."]) -> Float[Tensor, "local ..."]:  # type: ignore[override]
        summed = gradient.contiguous()
        dist.all_reduce(summed)
        return summed[local_rows(ctx.local, len(summed))]
