# mypy: disable-error-code="misc,no-untyped-def,untyped-decorator,no-untyped-call,no-any-return,operator"
# ruff: noqa: ANN001, ANN202
"""Products of queries with rows that lie here and there, in Triton: the rows are read once and never copied.

Importing this module imports Triton. With ``TRITON_INTERPRET=1`` set before, the kernel runs on the CPU, slowly.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

_CANDIDATES, _PART = 16, 256  # candidates and dimensions that a program reads together


@triton.jit
def _gathered_kernel(rows, ids, queries, out, dim, count, candidates: tl.constexpr, part: tl.constexpr):
    query = tl.program_id(0).to(tl.int64)  # only the first axis holds more than 65,535 programs
    candidate = tl.program_id(1) * candidates + tl.arange(0, candidates)
    known = candidate < count
    row = tl.load(ids + query * count + candidate, known, 0)
    total = tl.zeros((candidates, part), tl.float32)
    for start in range(0, dim, part):
        along = start + tl.arange(0, part)
        factor = tl.load(queries + query * dim + along, along < dim, 0.0)
        here = known[:, None] & (along < dim)[None, :]
        values = tl.load(rows + row[:, None] * dim + along[None, :], here, 0.0)
        total += values.to(tl.float32) * factor[None, :]
    tl.store(out + query * count + candidate, tl.sum(total, axis=1), known)


def gathered(rows: Tensor, ids: Tensor, queries: Tensor) -> Tensor:
    """``gathered_rows.gathered`` on a GPU."""
    out = torch.empty(ids.shape, dtype=torch.float32, device=ids.device)
    grid = (len(ids), triton.cdiv(ids.shape[1], _CANDIDATES))
    _gathered_kernel[grid](rows, ids, queries, out, rows.shape[1], ids.shape[1], _CANDIDATES, _PART)
    return out
