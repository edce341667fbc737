"""Block sizes of an evaluation on a torch device: as large as the memory allows, so that they are few."""

from collections.abc import Sequence

import numpy as np
import torch

from fico.errors import UsageError
from fico.evaluation.memory import CPU_BYTES, MemoryPlan
from fico.evaluation.options import EvaluationOptions
from fico.evaluation.relevance import InstanceRetrieval
from fico.metrics.counted_blocks import MOST_COUNTED
from fico.metrics.specification import DIRECTIONS, Direction

DEVICE_BYTES = 8 * 2**30  # the default memory limit on a GPU, if twice as much is free
_SORTED_BYTES = 60  # per score: a sort, and the tied blocks of a gallery in which every item is relevant and distinct
DEVICE_CAST_BYTES = 64 * 2**20  # embeddings in another precision than the scores' are cast in pieces of this size
_CODE_BYTES = 32  # per score: cell of the histogram, relevance and the cells of the relevant items
_COUNTED_BYTES = 4  # per score, beside it: comparisons with the relevant items; or the copies of tied duplicates
_DISTANCE_BYTES = 64  # per query and Hamming distance: counts and their sums
_LABEL_BYTES = 4
DEVICE_PIECE_BYTES = 40 * 2**22  # a piece of scores, sorted, with label distances and comparisons
_RESULT_COPIES = 4  # of the values of a query: the columns, stacked, and in two tie bounds


def plan_device(
    instance: InstanceRetrieval,
    dim: int,
    dtype: np.dtype,
    options: EvaluationOptions,
    device: torch.device,
    *,
    is_codes: bool = False,
    classes: int = 0,
    others: Sequence[InstanceRetrieval] = (),
) -> MemoryPlan:
    """Blocks for a gallery of this size on a device.

    Args:
        instance: Images and captions.
        dim: Width of the embeddings, which are brought to the device; 0 for score matrices.
        dtype: Precision of the scores.
        options: Tasks, memory limit, block.
        device: The device.
        is_codes: The embeddings are binary codes.
        classes: Columns of the labels, which are brought there too.
        others: Further positives of the same images and captions.

    Raises:
        UsageError: Not even one row of scores fits.
    """
    images, texts = instance.images, len(instance.caption_to_image)
    room = options.memory_limit or default_room(device)
    columns = sum(len(options.columns(task)) for task in options.tasks)
    columns += len(others) * len(options.columns("instance"))
    fixed = (images + texts) * (dim * dtype.itemsize + columns * 8 * _RESULT_COPIES) + images * classes * _LABEL_BYTES
    fixed += min(DEVICE_CAST_BYTES, max(images, texts) * dim * dtype.itemsize)
    if (
        "category" in options.tasks
        and classes
        and any(name.startswith("chance/") for name in options.columns("category"))
    ):
        fixed += DEVICE_PIECE_BYTES
    query_bytes = classes * _LABEL_BYTES + dim * dtype.itemsize + (dim + 1) * _DISTANCE_BYTES * is_codes
    rows, used = {}, 0
    for direction in DIRECTIONS:
        queries, items = (len(side) for side in instance.images_of(direction))
        most = max(score_bytes(each, direction, dtype, options, is_codes) for each in (instance, *others))
        row_bytes = items * most + query_bytes
        fitting = (room - fixed) // row_bytes
        if fitting < 1:
            raise UsageError(
                f"{room} bytes on {device} do not hold {fixed} bytes of embeddings and results and one row of {items} "
                "scores; raise memory_limit"
            )
        blocks = -(-queries // min(fitting, options.block or queries, queries))
        rows[direction] = -(-queries // blocks) if options.block is None else min(options.block, fitting)
        used = max(used, min(rows[direction], queries) * row_bytes)
    return MemoryPlan(rows["i2t"], rows["t2i"], False, 0, fixed + used)


def score_bytes(
    instance: InstanceRetrieval, direction: Direction, dtype: np.dtype, options: EvaluationOptions, is_codes: bool
) -> int:
    """Most bytes that one score needs at a time."""
    if is_codes and options.ties != "index":
        return _CODE_BYTES + dtype.itemsize
    most = int(np.diff(instance.positives(direction)[0]).max(initial=0))
    if "category" in options.tasks or most > MOST_COUNTED:
        return _SORTED_BYTES + dtype.itemsize
    return max(_COUNTED_BYTES, dtype.itemsize) + dtype.itemsize


def default_room(device: torch.device) -> int:
    """Bytes that an evaluation takes on a device if nobody says how many."""
    if device.type != "cuda":
        return CPU_BYTES
    return min(DEVICE_BYTES, torch.cuda.mem_get_info(device)[0] // 2)
