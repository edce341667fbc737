"""Rows of a matrix that are equal, or that point in the same direction, on the device where they lie.

A matrix product adds in an order that depends on the position of a row, so equal rows get scores with different last
bits. Whoever wants them to tie has to know which they are.
"""

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float, Int64
from torch import Tensor

Pieces = Callable[[], Iterator[tuple[int, Tensor]]]  # start row and rows, one piece after the other
_PART = 2**20  # entries normalised at once
_ODD = (0x1E3779B97F4A7C15, 0x42B2AE3D27D4EB4F)  # spread the bits of a key


def duplicate_rows(
    pieces: Pieces, by_direction: bool
) -> tuple[Int64[Tensor, " duplicates"], Int64[Tensor, " duplicates"]]:
    """Rows that repeat an earlier one, in ascending order, and the first row that each of them repeats.

    A few entries of each row tell nearly all rows apart; the rest are compared by a hash of the whole row.

    Args:
        pieces: The matrix.
        by_direction: Rows that differ by a positive factor are duplicates too: with whole numbers or powers of two the
            factor is exact, else rounding may hide it.
    """
    rows, firsts = _repeats(torch.cat([_probe(piece, by_direction) for _, piece in pieces()]))
    if len(rows) == 0:
        return rows, firsts
    alike = torch.cat([rows, firsts]).unique()
    rows, firsts = _repeats(torch.cat(list(_hashes(pieces, by_direction, alike))))
    return alike[rows], alike[firsts]


def are_alike(pieces: Pieces, by_direction: bool, tolerance: float) -> bool:
    """Whether all rows are equal (or point in the same direction) to a fraction of their largest entry."""
    first = None
    for _, piece in pieces():
        for part in (piece[-1:], *piece.split(_part_rows(piece))):  # the last row alone tells most matrices apart
            rows = _normalised(part, by_direction)
            first = _normalised(piece[:1], by_direction) if first is None else first
            if not bool((rows - first).abs().amax() <= tolerance * first.abs().amax()):
                return False
    return True


def _repeats(keys: Int64[Tensor, " rows"]) -> tuple[Int64[Tensor, " duplicates"], Int64[Tensor, " duplicates"]]:
    """Rows whose key an earlier row has, ascending, and the first row with it."""
    ordered, order = keys.sort(stable=True)
    is_repeat = torch.zeros_like(ordered, dtype=torch.bool)
    is_repeat[1:] = ordered[1:] == ordered[:-1]
    firsts = order[~is_repeat][(~is_repeat).cumsum(0) - 1]
    rows, sorting = order[is_repeat].sort()
    return rows, firsts[is_repeat][sorting]


def _normalised(rows: Float[Tensor, "rows dim"], by_direction: bool) -> Float[Tensor, "rows dim"]:
    """Rows of which duplicates have the same bits.

    Quotients of exact multiples are equal, since division rounds equal numbers alike; the sum turns -0 into 0.
    """
    return (rows / rows.abs().amax(dim=1, keepdim=True) if by_direction else rows) + 0.0


def _probe(rows: Float[Tensor, "rows dim"], by_direction: bool) -> Int64[Tensor, " rows"]:
    """A number for each row that duplicates share, from four of its entries."""
    columns = torch.linspace(0, rows.shape[1] - 1, 4).long().to(rows.device)
    entries = rows[:, columns]
    both = (entries[:, :2] / entries[:, 2:] if by_direction else entries[:, :2]) + 0.0
    bits = both.view(torch.int64 if both.dtype == torch.float64 else torch.int32).long()
    return bits[:, 0] * _ODD[0] + bits[:, 1] * _ODD[1]


def _hashes(pieces: Pieces, by_direction: bool, wanted: Int64[Tensor, " wanted"]) -> Iterator[Int64[Tensor, " part"]]:
    """Hash of each wanted row, ascending."""
    for start, piece in pieces():
        numbers = wanted[(wanted >= start) & (wanted < start + len(piece))] - start
        for part in numbers.split(_part_rows(piece)):
            yield _hash(_normalised(piece[part], by_direction))


def _hash(rows: Float[Tensor, "rows dim"]) -> Int64[Tensor, " rows"]:
    """64 bits of each row: whole numbers, so that they do not depend on the order in which they are added."""
    words = rows.contiguous().view(torch.int32).long()
    weights = torch.randint(-(2**62), 2**62, (words.shape[1],), generator=torch.Generator().manual_seed(0))
    words = words * _ODD[0]
    words ^= words >> 32  # rows that differ in a few bits alone, as in signs, differ in all
    words *= 2 * weights.to(rows.device) + 1
    return words.sum(dim=1)


def _part_rows(piece: Tensor) -> int:
    return max(1, _PART // piece.shape[1])
