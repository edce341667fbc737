"""Sharding of the scoring of pairs over processes."""

from typing import Any

import numpy as np
import torch.distributed as dist


def rank_and_world_size() -> tuple[int, int]:
    """Of this process; ``(0, 1)`` where there is no other."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else (0, 1)


def gather_parts(part: np.ndarray) -> list[np.ndarray]:
    """What each process has computed, in the order of the ranks."""
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, part)
    return parts
