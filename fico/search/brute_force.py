"""Brute force: scores of every pair by one matrix product, and the k best of each query."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from fico.codes import HashCodes
from fico.search.base import merge
from fico.similarity import Similarity
from fico.types import Ranking


def as_operand(rows: np.ndarray | Tensor | HashCodes, similarity: Similarity, device: str = "cpu") -> Tensor:
    """Rows as the matrix whose products ``scores`` forms.

    Args:
        rows: Codes, or ``float32``, which may lie on the device already.
        similarity: The measure.
        device: Where the products shall be formed.

    Returns:
        ``rows dim``: +1 and -1 of codes; rows of length 1 under ``cosine``; ``float64`` under ``euclidean``,
        whose squares would cancel in ``float32``.
    """
    if isinstance(rows, HashCodes):
        values = torch.from_numpy(rows.to_signs()).to(device)
    else:  # a copy: mapped rows are read-only
        values = rows if isinstance(rows, Tensor) else torch.tensor(rows, device=device)
    if similarity == "cosine":
        return torch.nn.functional.normalize(values)
    return values.double() if similarity == "euclidean" else values


def scores(left: Tensor, right: Tensor, similarity: Similarity) -> Tensor:
    """Scores of every pair, higher is nearer.

    Args:
        left: ``queries dim`` from ``as_operand``.
        right: ``items dim`` from ``as_operand``.
        similarity: The measure.

    Returns:
        ``queries items``, ``float32``: products; negative distances; negative number of differing bits, exact.
    """
    products = left @ right.T
    if similarity == "hamming":
        return (products - left.shape[1]) / 2
    if similarity == "euclidean":
        squares = left.square().sum(1, keepdim=True) + right.square().sum(1) - 2 * products
        return -squares.clamp(min=0).sqrt().float()
    return products


def aligned_scores(left: Tensor, right: Tensor, similarity: Similarity) -> Tensor:
    """Scores of row ``i`` with row ``i``, the diagonal of `scores` but for rounding.

    Args:
        left: ``pairs dim`` from ``as_operand``.
        right: ``pairs dim`` from ``as_operand``.
        similarity: The measure.

    Returns:
        ``pairs``, ``float32``.
    """
    if similarity == "euclidean":
        distances: Tensor = (left - right).norm(dim=1)
        return -distances.float()
    products: Tensor = torch.einsum("ij,ij->i", left, right)
    return (products - left.shape[1]) / 2 if similarity == "hamming" else products


def top_k(values: Tensor, k: int, first: int = 0) -> Ranking:
    """The k highest scores of each row, ties by lowest column.

    ``torch.topk`` chooses freely among equal scores. Here it only gives the k-th score; the columns that reach it
    are collected in order and the surplus of tied ones at the end is cut.

    Args:
        values: ``queries items``, higher is nearer.
        k: 1 to the number of items.
        first: Number of the first column.

    Returns:
        ``queries k``, best first.
    """
    limit = values.topk(k, dim=1, sorted=False).values.amin(dim=1, keepdim=True)
    row, column = (part.cpu().numpy() for part in torch.nonzero(values >= limit, as_tuple=True))
    value = values[torch.from_numpy(row), torch.from_numpy(column)].cpu().numpy()
    order = np.lexsort((column, -value, row))
    starts = np.searchsorted(row, np.arange(len(values)))  # nonzero gives the rows in order, and so does the sort
    chosen = order[starts[:, None] + np.arange(k)]
    return Ranking(value[chosen], column[chosen] + first)


def nearest_of_blocks(queries: Tensor, blocks: Iterable[Tensor], similarity: Similarity, k: int) -> Ranking:
    """The k best of each query among items that come in blocks, ties by lowest item.

    Args:
        queries: ``queries dim``, as ``as_operand`` gives them.
        blocks: ``items dim`` each, in order of id; made ``float`` here, one at a time.
        similarity: The measure.
        k: At most the number of all items.
    """
    best: Ranking | None = None
    first = 0
    for block in blocks:
        found = top_k(scores(queries, block.to(queries.dtype), similarity), min(k, len(block)), first)
        best = found if best is None else merge([best, found], k)
        first += len(block)
    assert best is not None
    return best
