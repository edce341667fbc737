"""Rows of all processes in one tensor, for losses that compare with the whole batch."""

from typing import Any, Literal

import torch
import torch.distributed as dist
from jaxtyping import Float, Shaped
from torch import Tensor

Gradient = Literal["none", "own", "all"]


def gather_rows(rows: Shaped[Tensor, "own ..."], gradient: Gradient = "none") -> Shaped[Tensor, "every ..."]:
    """Put the rows of every process below one another, in the order of the ranks.

    Args:
        rows: Of this process; as many in every process. In a single process they are what comes back.
        gradient: What flows back to ``rows``. ``none``: nothing, not even in a single process. ``own``: what the loss
            of this process says of its own rows. ``all``: the sum over the losses of all processes.

    Returns:
        Rows of all processes; its own stand at ``rank * own``.
    """
    if gradient == "none":
        rows = rows.detach()
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return rows
    if gradient == "all":
        gathered: Tensor = _GatherAll.apply(rows)  # type: ignore[no-untyped-call]
        return gathered
    parts = _parts(rows)
    parts[dist.get_rank()] = rows  # the tensor itself, so that its gradient flows
    return torch.cat(parts)


def greatest(number: int, device: torch.device) -> int:
    """The greatest of the processes' numbers, such as a width to which all pad."""
    if not (dist.is_available() and dist.is_initialized()):
        return number
    found = torch.tensor(number, device=device)
    dist.all_reduce(found, dist.ReduceOp.MAX)
    return int(found)


def own_rows(own: int, every: int) -> slice:
    """Where the rows of this process stand among ``every`` gathered ones."""
    start = dist.get_rank() * own if every > own else 0
    return slice(start, start + own)


def _parts(rows: Tensor) -> list[Tensor]:
    parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, rows.detach().contiguous())
    return parts


class _GatherAll(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Float[Tensor, "own ..."]) -> Float[Tensor, "every ..."]:
        ctx.own = len(rows)
        return torch.cat(_parts(rows))

    @staticmethod
    def backward(ctx: Any, gradient: Float[Tensor, "every ..."]) -> Float[Tensor, "own ..."]:  # type: ignore[override]
        summed = gradient.contiguous()
        dist.all_reduce(summed)
        return summed[own_rows(ctx.own, len(summed))]
