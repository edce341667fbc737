"""Gathers the candidates of each query and multiplies them: the last step of every search that screens first."""

import torch
from torch import Tensor

from fico.search.gpu.device import has_triton

_PAIRS_BYTES = 2**30  # of the rows that are copied together where there is no kernel


def gathered(rows: Tensor, ids: Tensor, queries: Tensor) -> Tensor:
    """The product of each query with each of its candidates, in single precision.

    Args:
        rows: ``items dim``, ``float32`` or ``float16``, contiguous.
        ids: ``queries candidates``, ``int64``: items.
        queries: ``queries dim``, ``float32``, contiguous.

    Returns:
        ``queries candidates``, ``float32``.
    """
    if rows.is_cuda and has_triton():
        from fico.search.gpu.gather_triton import gathered as by_kernel

        return by_kernel(rows, ids, queries)
    step = max(1, _PAIRS_BYTES // (4 * rows.shape[1] * ids.shape[1]))
    parts = [
        torch.einsum("qcd,qd->qc", rows[ids[at : at + step]].float(), queries[at : at + step])
        for at in range(0, len(ids), step)
    ]
    return torch.cat(parts)
