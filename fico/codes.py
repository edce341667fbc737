"""Hash codes: the one value that codes of +1 and -1, of 1 and 0 and packed codes become, and the way back.

Whether an array holds codes is declared (by a code length, by the Hamming distance or by this type), never read off its
values: a bag of words holds 0 and 1 as well.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import UInt8, UInt64

from fico.errors import DataError, UsageError
from fico.util.arrays import Embeddings, share_memory, to_array

_ROWS = 65_536  # rows packed in one go, so that a mapped file is never read as a whole


@dataclass(frozen=True, slots=True, eq=False)
class HashCodes:
    """Binary codes, 64 bits to a word.

    Words and not bytes, since XOR, population count and bit planes work on words, and the packed bytes of a file or of
    FAISS are a view of them. Bit 1 stands for +1. Within a byte the first bit is the highest, as ``numpy.packbits`` has
    it; the bytes of a word come in the order of memory. Bits after the code's length are 0 in every row, so that they
    never count in a distance.

    Args:
        words: ``rows words``.
        bits: Length of a code.
    """

    words: UInt64[np.ndarray, "rows words"]
    bits: int

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, rows: slice | np.ndarray) -> "HashCodes":
        return HashCodes(self.words[rows], self.bits)

    @classmethod
    def joined(cls, parts: Sequence["HashCodes"]) -> "HashCodes":
        """Rows of several, one part after the other."""
        return parts[0] if len(parts) == 1 else cls(np.concatenate([part.words for part in parts]), parts[0].bits)

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return int(self.words.nbytes)

    @classmethod
    def of(
        cls,
        values: "Embeddings | HashCodes",
        bits: int | None = None,
        what: str = "codes",
        ids: Sequence[str] | None = None,
    ) -> "HashCodes":
        """Codes in whichever form the width and the declared length say.

        Args:
            values: ``rows bits`` of +1 and -1 or of 1 and 0 in any dtype; packed ``uint8``, ``rows ceil(bits / 8)``,
                where ``bits`` is given; or codes already, which are returned as they are.
            bits: Code length. None: the codes are not packed, and their width is it.
            what: Name of the rows for errors: "images", "queries".
            ids: Name of each row for errors; by default its number.

        Raises:
            DataError: Another value than the two of the encoding, or 0 together with -1: the sign of an exact 0 is the
                model's to decide (``numpy.where(x < 0, -1, 1)``). Packed codes that are not ``uint8``.
            UsageError: ``bits`` fits neither the packed nor the unpacked form.
        """
        if isinstance(values, HashCodes):
            if bits not in (None, values.bits):
                raise UsageError(f"bits={bits} does not fit {what}, which are codes of {values.bits} bits")
            return values
        array = to_array(values, what)
        columns = array.shape[1]
        if bits is None or (_is_length(bits) and bits == columns):
            has_negative = array.dtype.kind in "if" and any(bool((block < 0).any()) for _, block in _blocks(array))
            return cls._packed_from(array, -1 if has_negative else 0, what, ids)
        if not _is_length(bits) or columns != -(-bits // 8):
            raise UsageError(
                f"bits={bits!r} does not fit {what} with {columns} columns of {array.dtype}, packed or not"
            )
        return cls.from_packed(array, bits, what)

    @classmethod
    def from_signs(cls, signs: Embeddings, what: str = "codes", ids: Sequence[str] | None = None) -> "HashCodes":
        """Codes from ``rows bits`` of +1 and -1.

        Raises:
            DataError: Another value.
        """
        return cls._packed_from(to_array(signs, what), -1, what, ids)

    @classmethod
    def from_bits(cls, bits: Embeddings, what: str = "codes", ids: Sequence[str] | None = None) -> "HashCodes":
        """Codes from ``rows bits`` of 1 and 0.

        Raises:
            DataError: Another value.
        """
        return cls._packed_from(to_array(bits, what), 0, what, ids)

    @classmethod
    def from_packed(cls, packed: UInt8[np.ndarray, "rows bytes"], bits: int, what: str = "codes") -> "HashCodes":
        """Codes from bytes, as ``numpy.packbits`` makes them.

        Bits after the code's length, which some writers leave dirty, are set to 0. Rows of whole words without such
        bits are not copied: the words are a view of them.

        Raises:
            DataError: Not ``uint8``.
            UsageError: The bytes are not those of ``bits``.
        """
        if packed.dtype != np.uint8:
            raise DataError(f"packed {what} are {packed.dtype}; packed codes are uint8, eight bits a byte")
        if not _is_length(bits) or packed.shape[1] != -(-bits // 8):
            raise UsageError(f"bits={bits!r} does not fit {what} with {packed.shape[1]} bytes a row")
        if bits % 64 == 0:
            return cls(np.ascontiguousarray(packed).view(np.uint64), bits)
        codes = cls._zeros(len(packed), bits)
        codes._bytes()[:] = packed
        if bits % 8:
            codes._bytes()[:, -1] &= 0xFF << (8 - bits % 8) & 0xFF
        return codes

    def packed(self) -> UInt8[np.ndarray, "rows bytes"]:
        """The codes as contiguous bytes; a view where they fill their words."""
        return np.ascontiguousarray(self._bytes())

    def to_bits(self) -> UInt8[np.ndarray, "rows bits"]:
        """The codes as 1 and 0."""
        return np.unpackbits(self._bytes(), axis=1, count=self.bits)

    def to_signs(self, dtype: type[np.generic] = np.float32) -> np.ndarray:
        """The codes as +1 and -1, ``rows bits``."""
        signs = self.to_bits().astype(dtype)
        signs *= 2
        signs -= 1
        return signs

    def apart_from(self, source: object) -> "HashCodes":
        """These codes, copied where they share memory with what they were made from."""
        given = source.words if isinstance(source, HashCodes) else source
        return HashCodes(self.words.copy(), self.bits) if share_memory(self.words, given) else self

    def _bytes(self) -> UInt8[np.ndarray, "rows bytes"]:
        return self.words.view(np.uint8)[:, : -(-self.bits // 8)]

    @classmethod
    def _zeros(cls, rows: int, bits: int) -> Self:
        return cls(np.zeros((rows, -(-bits // 64)), np.uint64), bits)

    @classmethod
    def _packed_from(cls, array: np.ndarray, low: int, what: str, ids: Sequence[str] | None) -> Self:
        codes = cls._zeros(*array.shape)
        for start, block in _blocks(array):
            ones = block if block.dtype == bool else block == 1
            if block.dtype != bool or low:
                known = ones | (block == low)
                if not known.all():
                    raise _no_code(block, known, start, low, what, ids)
            codes._bytes()[start : start + len(block)] = np.packbits(ones, axis=1)
        return codes


def code_length(values: Embeddings | HashCodes, bits: int | None, what: str) -> int:
    """Length of codes as ``HashCodes.of`` finds it, from the first row, and as the searchers need it.

    Raises:
        DataError: As ``HashCodes.of``.
        UsageError: As ``HashCodes.of``; or the length is not a multiple of 8.
    """
    first = values[:1] if isinstance(values, HashCodes) else to_array(values, what)[:1]
    length = HashCodes.of(first, bits, what).bits
    check_bits(length)
    return length


def check_bits(bits: int) -> None:
    """Refuses code lengths that do not fill whole bytes, as the searchers need them.

    Raises:
        UsageError: ``bits`` is not a positive multiple of 8.
    """
    if not _is_length(bits) or bits % 8:
        raise UsageError(f"bits is {bits!r}; a code has whole bytes, give a positive multiple of 8")


def _blocks(array: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    return ((start, array[start : start + _ROWS]) for start in range(0, len(array), _ROWS))


def _no_code(
    block: np.ndarray, known: np.ndarray, start: int, low: int, what: str, ids: Sequence[str] | None
) -> DataError:
    row, column = (int(n) for n in np.argwhere(~known)[0])
    name = f"row {start + row}" if ids is None else ids[start + row]
    hint = "packed codes need bits=" if block.dtype == np.uint8 else f"codes hold only {low} and 1"
    return DataError(f"{what} {name} holds {block[row, column]} at bit {column}; {hint}")


def _is_length(bits: object) -> bool:
    return isinstance(bits, int | np.integer) and not isinstance(bits, bool) and int(bits) >= 1
