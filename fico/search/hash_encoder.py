"""What makes hash codes of the rows that a searcher is given: declared codes pass, floats go through ITQ."""

from typing import Literal

import numpy as np

from fico.codes import HashCodes, check_bits, code_length
from fico.errors import DataError
from fico.search.index_file import Arrays, Settings
from fico.search.itq import ITQ
from fico.util.arrays import Embeddings, to_array

Kind = Literal["codes", "floats"]


class HashEncoder:
    """Hash codes of items and queries, of the kind that the first items are declared to be.

    Rows are codes if they come as ``HashCodes``, or where ``bits`` is their width, or that of packed ``uint8``. All
    others are floats, whatever their values; where an ITQ was handed in, rows of any width are.

    Args:
        bits: Code length. None: that of ``HashCodes``; for floats 64, or what few items allow.
        itq: What makes codes of floats; fitted on the first items unless it is fitted already.
        seed: Of ITQ.
        are_codes: True: every row is a code, of its own width where ``bits`` is None.
    """

    def __init__(self, bits: int | None, itq: ITQ | None = None, seed: int = 1234, are_codes: bool = False) -> None:
        if bits is not None:
            check_bits(bits)
        self.bits, self.itq, self.seed = bits, itq, seed
        self.kind: Kind | None = "codes" if are_codes else None
        self._is_fitted = False

    @property
    def name(self) -> str:
        """``64`` for codes of 64 bits, ``itq64`` for floats made into such."""
        return f"{'itq' if self.kind == 'floats' else ''}{self.bits}"

    @property
    def is_fitted(self) -> bool:
        """Whether the kind of the rows and the code length are known."""
        return self._is_fitted

    def fit(self, items: Embeddings | HashCodes, learn: bool = True, queries: Embeddings | None = None) -> None:
        """Decides what the rows are, and trains ITQ where it is needed.

        Args:
            items: The first items.
            learn: False where floats shall stay floats.
            queries: Rows of the other side that ITQ is trained on too.

        Raises:
            DataError: Too few items for a code of 8 bits, NaN, or packed codes without their length.
            UsageError: Codes whose width is not a multiple of 8.
        """
        self.kind = self.kind or self._kind_of(items, learn)
        if self.kind == "codes":
            self.bits = code_length(items, self.bits, "items")
        elif learn:
            floats = to_array(items, "items")  # type: ignore[arg-type]
            self.itq = self.itq or ITQ(self.bits or _bits_for(floats), self.seed)
            if not self.itq.is_fitted:
                self.itq.fit(*([floats] if queries is None else [floats, queries]))
            self.bits = self.itq.bits
        self._is_fitted = True

    def _kind_of(self, items: Embeddings | HashCodes, learn: bool) -> Kind:
        if isinstance(items, HashCodes):
            return "codes"
        if not learn:
            return "floats"
        array = to_array(items, "items")
        is_packed = array.dtype == np.uint8 and self.bits is not None and array.shape[1] == self.bits // 8
        if self.itq is None and (is_packed or array.shape[1] == self.bits):
            return "codes"
        if array.dtype.kind != "f":
            hint = "packed codes need bits=" if array.dtype == np.uint8 else "codes need bits="
            raise DataError(
                f"items are {array.dtype} with {array.shape[1]} columns, the index has bits={self.bits}; {hint}, and "
                "embeddings that ITQ shall make into codes a floating dtype"
            )
        return "floats"

    def encode(self, rows: Embeddings | HashCodes, what: str) -> HashCodes:
        """Codes of rows.

        Raises:
            DataError: NaN or another width, or values that are not codes where codes are expected.
            UsageError: A code length other than that of the first items.
        """
        if self.kind == "codes":
            return HashCodes.of(rows, self.bits, what)
        assert self.itq is not None
        return self.itq.encode(rows, what)  # type: ignore[arg-type]

    def state(self) -> tuple[Settings, Arrays]:
        """Settings and arrays for an index file."""
        trained = None if self.itq is None or not self.itq.is_fitted else self.itq.state()
        settings = {"bits": self.bits, "seed": self.seed, "takes_codes": self.kind == "codes"}
        return settings | {"itq": trained and trained[0]}, trained[1] if trained else {}

    @classmethod
    def restored(cls, settings: Settings, arrays: Arrays) -> "HashEncoder":
        """What ``state`` described."""
        itq = None if settings["itq"] is None else ITQ.restored(settings["itq"], arrays)
        encoder = cls(settings["bits"], itq, settings["seed"])
        encoder.kind, encoder._is_fitted = ("codes" if settings["takes_codes"] else "floats"), True
        return encoder


def _bits_for(array: np.ndarray) -> int:
    bits = min(64, int(min(array.shape)) // 8 * 8)
    if bits == 0:
        raise DataError(f"{array.shape[0]} items of {array.shape[1]} dimensions are too few for a code of 8 bits")
    return bits
