"""Rows of a matrix that are equal, or that point in the same direction.

A matrix product adds in an order that depends on the position of a row, so equal rows get scores with different last
bits. Whoever wants them to tie has to know which they are.
"""

from collections.abc import Callable, Iterator
from hashlib import blake2b

import numpy as np
from jaxtyping import Bool, Float, Int64, UInt64

Pieces = Callable[[], Iterator[tuple[int, np.ndarray]]]  # start row and rows, one piece after the other
_ROWS = 1024  # rows normalised at once
_ODD = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)  # spread the bits of two keys over one


def duplicate_rows(
    pieces: Pieces, by_direction: bool
) -> tuple[Int64[np.ndarray, " duplicates"], Int64[np.ndarray, " duplicates"]]:
    """Rows that repeat an earlier one, and the first row that each of them repeats.

    A few entries of each row tell nearly all rows apart; the rest are compared by a digest of the whole row.

    Args:
        pieces: The matrix.
        by_direction: Rows that differ by a positive factor are duplicates too: with whole numbers or powers of two the
            factor is exact, else rounding may hide it.
    """
    keys = np.concatenate([_probe(piece, by_direction) for _, piece in pieces()])
    _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    seen: dict[bytes, int] = {}
    pairs: list[tuple[int, int]] = []
    for row, digest in _digests(pieces, by_direction, counts[inverse] > 1):
        first = seen.setdefault(digest, row)
        if first != row:
            pairs.append((row, first))
    rows, firsts = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return rows, firsts


def are_alike(pieces: Pieces, by_direction: bool, tolerance: float) -> bool:
    """Whether all rows are equal (or point in the same direction) to a fraction of their largest entry."""
    first = None
    for _, piece in pieces():
        for start in range(0, len(piece), _ROWS):
            rows = _normalised(piece[start : start + _ROWS], by_direction)
            first = rows[:1] if first is None else first
            if not np.abs(rows - first).max(initial=0) <= tolerance * np.abs(first).max(initial=0):
                return False
    return True


def _normalised(rows: Float[np.ndarray, "rows dim"], by_direction: bool) -> Float[np.ndarray, "rows dim"]:
    """Rows of which duplicates have the same bits.

    Quotients of exact multiples are equal, since division rounds equal numbers alike; the sum turns -0 into 0.
    """
    if not by_direction:
        return rows + 0.0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # rows of zeros
        quotients: np.ndarray = rows / np.abs(rows).max(axis=1, keepdims=True, initial=0) + 0.0
    return quotients


def _probe(rows: Float[np.ndarray, "rows dim"], by_direction: bool) -> UInt64[np.ndarray, " rows"]:
    """A number for each row that duplicates share, from four of its entries."""
    columns = np.linspace(0, rows.shape[1] - 1, 4).astype(np.int64)
    entries = rows[:, columns]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        both = entries[:, :2] / entries[:, 2:] if by_direction else entries[:, :2]
    both = np.ascontiguousarray(both + 0.0)
    bits = both.view(np.uint64 if both.itemsize == 8 else np.uint32).astype(np.uint64)
    key: np.ndarray = bits[:, 0] * np.uint64(_ODD[0]) + bits[:, 1] * np.uint64(_ODD[1])
    return key


def _digests(pieces: Pieces, by_direction: bool, wanted: Bool[np.ndarray, " rows"]) -> Iterator[tuple[int, bytes]]:
    """Row number and digest of each wanted row."""
    if not wanted.any():
        return
    for start, piece in pieces():
        numbers = np.flatnonzero(wanted[start : start + len(piece)])
        for first in range(0, len(numbers), _ROWS):
            chosen = numbers[first : first + _ROWS]
            for number, row in zip(chosen.tolist(), _normalised(piece[chosen], by_direction), strict=True):
                yield start + number, blake2b(row.tobytes(), digest_size=16).digest()
