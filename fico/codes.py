"""Hash codes in their three forms: +-1, 0/1 and packed bits."""

import numpy as np

from fico.errors import DataError, UsageError
from fico.util.arrays import Embeddings, to_array

_ROWS = 65_536


def check_bits(bits: int) -> None:
    """Refuses code lengths that do not fill whole bytes.

    Raises:
        UsageError: ``bits`` is not a positive multiple of 8.
    """
    if bits < 8 or bits % 8:
        raise UsageError(f"bits is {bits}; a code has whole bytes, give a positive multiple of 8")


def is_code(array: np.ndarray, bits: int | None) -> bool:
    """Whether a matrix shall be read as hash codes and not as floats.

    Args:
        array: Embeddings.
        bits: Code length, where it is known; packed codes cannot be told without.

    Returns:
        True for packed codes and where no value but +1, -1 and 0 occurs; ``pack_codes`` then refuses what is
        neither +-1 nor 0/1, such as a 0 that a sign function left.
    """
    if array.dtype == np.uint8 and bits is not None and array.shape[1] == bits // 8:
        return True
    blocks = (array[start : start + _ROWS] for start in range(0, len(array), _ROWS))
    return all(bool(((rows == 0) | (rows == 1) | (rows == -1)).all()) for rows in blocks)


def pack_codes(values: Embeddings, bits: int, what: str) -> np.ndarray:
    """Codes of any form as packed bytes, the first bit highest (NumPy's order).

    Args:
        values: ``n x bits`` of +-1 or 0/1, or packed ``uint8`` of ``n x bits / 8``.
        bits: Code length.
        what: ``"items"`` or ``"queries"``, for the message.

    Returns:
        ``n x bits / 8``, ``uint8``; bit 1 stands for +1.

    Raises:
        DataError: Another width, or a row with a value that is no bit (a 0 beside a -1 too).
    """
    array = to_array(values, what)
    if array.dtype == np.uint8 and array.shape[1] == bits // 8:
        return np.ascontiguousarray(array)
    if array.shape[1] != bits:
        raise DataError(
            f"the {what} have {array.shape[1]} columns of {array.dtype}; "
            f"codes of {bits} bits have {bits} columns of +-1 or 0/1, or {bits // 8} of packed uint8"
        )
    return np.concatenate([_pack(array[row : row + _ROWS], row, what) for row in range(0, len(array), _ROWS)])


def _pack(rows: np.ndarray, first: int, what: str) -> np.ndarray:
    set_bits = rows == 1
    signs, binary = set_bits | (rows == -1), set_bits | (rows == 0)
    if not (signs.all() or binary.all()):
        worst = signs if signs.sum() >= binary.sum() else binary
        row = first + int(np.flatnonzero(~worst.all(axis=1))[0])
        raise DataError(f"row {row} of the {what} is no code; give +-1 or 0/1 only, not both and nothing between")
    return np.packbits(set_bits, axis=1)


def unpack_codes(codes: np.ndarray) -> np.ndarray:
    """Packed codes as +1 and -1, ``float32``."""
    signs = np.unpackbits(codes, axis=1).astype(np.float32)
    signs *= 2
    signs -= 1
    return signs
