"""Block sizes of an evaluation under its memory limit, planned before it starts."""

from dataclasses import dataclass

import numpy as np

from fico.errors import UsageError
from fico.evaluation.columns import task_columns
from fico.evaluation.engines.unfused_columns import PIECE_BYTES
from fico.evaluation.options import EvaluationOptions
from fico.metrics.bootstrap import RESAMPLING_BYTES
from fico.similarity import CAST_BYTES

CPU_BYTES = 512 * 2**20  # the default memory limit on the CPU
_BUFFER_BYTES = 8 * 2**20  # scores of one block: small enough for the cache, large enough for the product


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Sizes of the blocks and the memory that they take.

    Args:
        i2t_rows: Image queries per block.
        t2i_rows: Caption queries per block.
        whole: The whole score matrix is small: it is computed once and serves both directions.
        keep_bytes: Largest cast copy of one side's embeddings that is kept.
        predicted_bytes: Most memory beyond the inputs.
    """

    i2t_rows: int
    t2i_rows: int
    whole: bool
    keep_bytes: int
    predicted_bytes: int


def plan_memory(
    images: int,
    texts: int,
    dim: int,
    dtype: np.dtype,
    options: EvaluationOptions,
    others: int = 0,
    database: tuple[int, int] | None = None,
) -> MemoryPlan:
    """Blocks for a gallery of this size.

    Args:
        images: Number of images.
        texts: Number of captions.
        dim: Width of the embeddings, which may be cast to the precision of the scores; 0 for score matrices.
        dtype: Precision of the scores.
        options: Tasks (the category task sorts a copy of each block), memory limit, block, bootstrap.
        others: Number of further positives.
        database: Number of images and of captions that are searched, where they are others than these.

    Raises:
        UsageError: Not even one row of scores fits.
    """
    memory_limit, block = options.memory_limit or CPU_BYTES, options.block
    tasks = [task_columns(options.listed, task) for task in (*options.tasks, *("instance",) * others)]
    columns = sum(len(task.names) + task.extra for task in tasks)
    results = (images + texts) * columns * 8 * 2  # values as they come in blocks, and joined
    ranking = PIECE_BYTES if any(task.extra for task in tasks) else 0
    keep = memory_limit // 8
    sides = [rows * dim * dtype.itemsize for rows in (images, texts, *(database or ()))]
    casts = sum(side if side <= keep else min(side, CAST_BYTES) for side in sides)
    matrix = images * texts * dtype.itemsize
    whole = database is None and dim > 0 and matrix <= memory_limit // 4
    fixed = results + casts + ranking + (matrix if whole else 0)
    free = memory_limit - fixed
    buffers = 2 if "category" in options.tasks else 1
    rows, used = [], 0
    searched_images, searched_texts = database or (images, texts)
    for queries, items in ((images, searched_texts), (texts, searched_images)):
        row_bytes = items * dtype.itemsize
        wanted = min(max(128, _BUFFER_BYTES // row_bytes), 1024, queries) if block is None else min(block, queries)
        fitting = free // (row_bytes * buffers)
        if fitting < 1:
            raise UsageError(
                f"memory_limit={memory_limit} bytes do not hold one row of {items} scores and {fixed} bytes of "
                "results and embeddings; raise the limit"
            )
        rows.append(int(min(wanted, fitting)))
        used = max(used, rows[-1] * row_bytes * buffers)
    resampling = min(RESAMPLING_BYTES, 8 * images * options.bootstrap) * 3 // 2  # counts, and draws of half the size
    return MemoryPlan(rows[0], rows[1], whole, keep, fixed + max(used, resampling))
