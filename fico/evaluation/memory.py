"""How an evaluation stays inside its memory limit, decided before it starts."""

from dataclasses import dataclass

import numpy as np

from fico.errors import UsageError
from fico.metrics.bootstrap import RESAMPLING_BYTES
from fico.metrics.options import EvaluationOptions
from fico.similarity import CAST_BYTES

_BUFFER_BYTES = 8 * 2**20  # scores of one block: small enough for the cache, large enough for the product


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Sizes of the blocks and what they will need.

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
    settings: EvaluationOptions,
    *,
    memory_limit: int,
    block: int | None = None,
) -> MemoryPlan:
    """Blocks for a gallery of this size.

    Args:
        images: Number of images.
        texts: Number of captions.
        dim: Width of the embeddings, of which a cast copy may be needed; 0 for given scores.
        dtype: Precision of the scores.
        settings: Tasks decide the buffers: the category task sorts a copy of each block.
        memory_limit: Bytes beyond the embeddings.
        block: Queries per block, in place of the planned number.

    Raises:
        UsageError: Not even one row of scores fits, or ``block`` is not positive.
    """
    columns = sum(len(settings.columns(task)) for task in settings.tasks)
    results = (images + texts) * columns * 8 * 2  # values as they come in blocks, and joined
    keep = memory_limit // 8
    sides = [rows * dim * dtype.itemsize for rows in (images, texts)]
    casts = sum(side if side <= keep else min(side, CAST_BYTES) for side in sides)
    matrix = images * texts * dtype.itemsize
    whole = dim > 0 and matrix <= memory_limit // 4
    fixed = results + casts + (matrix if whole else 0)
    free = memory_limit - fixed
    buffers = 2 if "category" in settings.tasks else 1
    rows, used = [], 0
    for queries, items in ((images, texts), (texts, images)):
        row_bytes = items * dtype.itemsize
        wanted = min(max(128, _BUFFER_BYTES // row_bytes), 1024, queries) if block is None else min(block, queries)
        fitting = free // (row_bytes * buffers)
        if wanted < 1 or fitting < 1:
            raise UsageError(
                f"block={block} and memory_limit={memory_limit} leave no room for one row of {items} scores; "
                "use a positive block and a higher limit"
            )
        rows.append(int(min(wanted, fitting)))
        used = max(used, rows[-1] * row_bytes * buffers)
    resampling = min(RESAMPLING_BYTES, 8 * images * settings.bootstrap) * 3 // 2  # counts, and draws of half the size
    return MemoryPlan(rows[0], rows[1], whole, keep, fixed + max(used, resampling))
