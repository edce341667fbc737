"""Hash codes from floats by iterative quantisation (ITQ), learnt by FAISS."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fico.errors import DataError, UsageError
from fico.search.base import Embeddings, import_faiss, to_floats
from fico.search.codes import check_bits, is_code, pack_codes

_ROWS = 65_536


class Binariser:
    """PCA to ``bits`` dimensions, the rotation that brings them nearest to +-1, and the sign.

    Args:
        bits: Code length, a multiple of 8, at most the dimension of the data.
        seed: Of the draw of training rows and of the first rotation.
        train_rows: Rows to learn from, drawn without replacement. None: 10 per dimension, at least 32,768.

    Raises:
        UsageError: ``bits`` is no positive multiple of 8.

    Source:
        Gong and Lazebnik, CVPR 2011; FAISS ``ITQTransform`` (50 iterations, mean removed, rows not normalised).
    """

    def __init__(self, bits: int = 64, seed: int = 1234, train_rows: int | None = None) -> None:
        check_bits(bits)
        self.bits, self.seed = bits, seed
        self.train_rows = train_rows
        self._transform: Any = None

    def fit(self, *rows: Embeddings) -> "Binariser":
        """Learns the transform.

        Args:
            rows: One matrix, or several that shall count by their length (images and texts).

        Raises:
            DataError: Fewer rows or dimensions than bits, or rows with NaN.
        """
        faiss = import_faiss()
        matrices = [to_floats(matrix, "items") for matrix in rows]
        chosen = draw_rows(matrices, self.train_rows or max(10 * matrices[0].shape[1], 32_768), self.seed)
        if min(chosen.shape) < self.bits:
            raise DataError(
                f"{chosen.shape[0]} rows of {chosen.shape[1]} dimensions cannot teach a code of {self.bits} bits; "
                f"give at least {self.bits} of both, or fewer bits"
            )
        transform = faiss.ITQTransform(chosen.shape[1], self.bits, True)
        transform.itq.seed = self.seed
        transform.train(chosen)
        self._transform = transform
        return self

    @property
    def projection(self) -> tuple[np.ndarray, np.ndarray]:
        """Matrix ``bits dim`` and offset ``bits`` of which the code takes the signs.

        Raises:
            UsageError: Read before ``fit``.
        """
        if self._transform is None:
            raise UsageError("the binariser knows no data yet; call fit(rows) first")
        linear, vector = self._transform.pca_then_itq, import_faiss().vector_to_array
        matrix = vector(linear.A).reshape(linear.d_out, linear.d_in)
        # FAISS takes off the mean and brings rows to length 1 before it rotates; the length changes no sign.
        return matrix, -matrix @ vector(self._transform.mean)

    @property
    def dim(self) -> int | None:
        """Width of the rows it was fitted on."""
        return None if self._transform is None else int(self._transform.d_in)

    def encode(self, rows: Embeddings, what: str = "items") -> np.ndarray:
        """Packed codes, ``rows x bits / 8``.

        Raises:
            UsageError: Called before ``fit``.
            DataError: Another width than the rows of ``fit``, or NaN.
        """
        if self._transform is None:
            raise UsageError("the binariser knows no data yet; call fit(rows) before encode")
        floats = to_floats(rows, what, self._transform.d_in)
        blocks = (np.ascontiguousarray(floats[at : at + _ROWS]) for at in range(0, len(floats), _ROWS))
        return np.concatenate([np.packbits(self._transform.apply(block) > 0, axis=1) for block in blocks])


class Coder:
    """Packed codes from whatever a searcher of hash codes is given; the first items decide how.

    Codes are packed; floats are binarised by ITQ, learnt from those items.

    Args:
        bits: Code length. None: the width of +-1 or 0/1 codes; for floats 64, or what few items allow.
        binariser: A fitted one to use for floats.
        seed: Of ITQ.
    """

    def __init__(self, bits: int | None, binariser: Binariser | None = None, seed: int = 1234) -> None:
        if bits is not None:
            check_bits(bits)
        self.bits, self.binariser, self._seed = bits, binariser, seed
        self.takes_codes: bool | None = None

    @property
    def name(self) -> str:
        """``64`` for codes of 64 bits, ``itq64`` for floats made into such."""
        return f"{'itq' if self.takes_codes is False else ''}{self.bits}"

    def fit(self, items: np.ndarray, learn: bool = True) -> None:
        """Decides, and learns ITQ where it is needed.

        Args:
            items: The first items.
            learn: False where floats shall stay floats.

        Raises:
            DataError: Too few items for a code of 8 bits, or NaN.
            UsageError: Codes whose width is no multiple of 8.
        """
        self.takes_codes = is_code(items, self.bits)
        if self.takes_codes:
            self.bits = self.bits or items.shape[1]
            check_bits(self.bits)
        elif learn:
            if self.binariser is None:
                self.binariser = Binariser(self.bits or _bits_for(items), self._seed).fit(items)
            self.bits = self.binariser.bits

    def encode(self, array: np.ndarray, what: str) -> np.ndarray:
        """Packed codes, ``rows x bits / 8``.

        Raises:
            DataError: Another width or kind than the first items, or NaN.
        """
        if self.takes_codes:
            assert self.bits is not None
            return pack_codes(array, self.bits, what)
        assert self.binariser is not None
        return self.binariser.encode(array, what)


def _bits_for(array: np.ndarray) -> int:
    bits = min(64, int(min(array.shape)) // 8 * 8)
    if bits == 0:
        raise DataError(f"{array.shape[0]} items of {array.shape[1]} dimensions are too few for a code of 8 bits")
    return bits


def draw_rows(matrices: Sequence[np.ndarray], count: int, seed: int) -> np.ndarray:
    """Rows of several matrices, without replacement, in their order; all of them where there are fewer.

    Args:
        matrices: Of equal width; may be mapped files, only the drawn rows are read.
        count: Rows to draw.
        seed: Of the draw.
    """
    lengths = np.cumsum([0, *(len(matrix) for matrix in matrices)])
    rows = np.arange(lengths[-1])
    if count < len(rows):
        rows = np.sort(np.random.default_rng(seed).choice(len(rows), count, replace=False))
    parts = zip(matrices, lengths[:-1], lengths[1:], strict=True)
    return np.concatenate([matrix[rows[(rows >= a) & (rows < b)] - a] for matrix, a, b in parts])
