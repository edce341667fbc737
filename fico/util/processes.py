"""The processes of one distributed run: which of them this is, and what each of them holds."""

from typing import Any, TypeVar, cast

import torch.distributed as dist

Part = TypeVar("Part")


def rank_and_world_size() -> tuple[int, int]:
    """Of this process; ``(0, 1)`` where there is no other."""
    return (dist.get_rank(), dist.get_world_size()) if _is_distributed() else (0, 1)


def gather_objects(part: Part, group: Any = None) -> list[Part]:
    """What each process holds, in the order of the ranks; a single process has its own alone.

    Args:
        part: Of this process; must be picklable.
        group: Process group; None for all processes.
    """
    if not _is_distributed():
        return [part]
    parts: list[Part | None] = [None] * dist.get_world_size(group)
    dist.all_gather_object(parts, part, group)
    return cast(list[Part], parts)


def _is_distributed() -> bool:
    return dist.is_available() and dist.is_initialized()
