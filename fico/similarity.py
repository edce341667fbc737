"""Similarities of embeddings, computed by blocks of queries: cosine, inner product, negative Euclidean distance."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fico.errors import DataError
from fico.util.duplicates import are_alike, duplicate_rows
from fico.util.matmul import matmul

Similarity = Literal["cosine", "inner", "euclidean", "hamming"]
SIMILARITIES: tuple[Similarity, ...] = ("cosine", "inner", "euclidean", "hamming")
_LENGTHS = {4: (1e-10, 1e10), 8: (1e-100, 1e100)}  # by bytes of a float: between them no product leaves the format
ROUNDING = 1e-6  # embeddings that differ by less of their largest entry count as equal in the note on collapse
CAST_BYTES = 16 * 2**20  # embeddings that need a cast are cast in pieces of this size


def check_pair(images: np.ndarray | Tensor, texts: np.ndarray | Tensor) -> None:
    """Refuses sides that cannot be compared.

    Raises:
        DataError: Different numbers of dimensions, or different dtypes.
    """
    if images.shape[1] != texts.shape[1]:
        raise DataError(
            f"images have {images.shape[1]} dimensions and texts {texts.shape[1]}; both sides need the same space"
        )
    first, second = (str(side.dtype).removeprefix("torch.") for side in (images, texts))
    if first != second:
        raise DataError(
            f"images are {first} and texts {second}; convert one side, so that both are compared in one precision"
        )


def score_dtype(array: np.ndarray | Tensor) -> np.dtype:
    """Precision in which scores are compared: float64 stays, as do wide integers; everything else fits float32."""
    wide = str(array.dtype).endswith(("float64", "int64", "int32"))
    return np.dtype(np.float64 if wide else np.float32)


class Side:
    """Embeddings of one side, read in pieces in the precision of the scores.

    Rows near the ends of their format are divided by powers of two, which loses no bit: under ``cosine`` and ``inner``
    each by its own, under ``euclidean`` both sides by a common one (``shrink``). So no product overflows.

    Args:
        name: "images" or "texts", for errors and notes.
        array: ``rows dim``.
        similarity: ``euclidean`` is computed in float64, so that no difference of large squares is lost.
        keep_bytes: Keep the cast copy if it needs no more than this.

    Attributes:
        scale: Factor of each item's products.
        shift: Under ``euclidean``, what is subtracted from each item's products.
        is_weighted: Whether a factor differs from 1.
        exponent: Under ``euclidean``, the power of two by which both sides should be divided; 0 for usual values.
        duplicates: Rows that repeat an earlier one (under ``cosine`` its direction), and the first that each repeats.
        note: What a reader must know about collapsed embeddings, or None.

    Raises:
        DataError: NaN or infinite rows, which are named and counted.
    """

    def __init__(self, name: str, array: np.ndarray | Tensor, similarity: Similarity, keep_bytes: int) -> None:
        self._array = array.cpu() if isinstance(array, Tensor) else array
        self._similarity = similarity
        self.dtype = np.dtype(np.float64) if similarity == "euclidean" else score_dtype(array)
        self._exponents: np.ndarray | None = None
        self.exponent = 0
        if array.shape[0] * array.shape[1] * self.dtype.itemsize <= keep_bytes:
            self._array = self._cast(0, len(array))
        self._zeros = 0
        self.duplicates, is_collapsed = self._repeated()
        self.scale, self.shift = self._weigh(self._checked_squares(name))
        self.is_weighted = similarity != "inner" or self._exponents is not None
        self.note = collapse_note(name, len(self), self._zeros, is_collapsed)

    def __len__(self) -> int:
        return len(self._array)

    def _cast(self, start: int, stop: int) -> np.ndarray:
        piece = self._array[start:stop]
        if isinstance(piece, Tensor):
            piece = piece.to(torch.float64 if self.dtype == np.float64 else torch.float32).numpy()
        piece = np.ascontiguousarray(piece, dtype=self.dtype)
        return piece if self._exponents is None else np.ldexp(piece, -self._exponents[start:stop, None])

    def pieces(self) -> Iterator[tuple[int, np.ndarray]]:
        """Start row and rows in the scores' precision, a few megabytes at a time where a cast is needed."""
        rows = len(self._array)
        plain = isinstance(self._array, np.ndarray) and self._array.dtype == self.dtype and self._exponents is None
        step = rows if plain else max(1, CAST_BYTES // (self._array.shape[1] * self.dtype.itemsize))
        for start in range(0, rows, step):
            yield start, self._cast(start, min(start + step, rows))

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Rows in the scores' precision."""
        return self._cast(start, stop)

    def shrink(self, exponent: int) -> None:
        """Divides all rows by a power of two."""
        self._exponents = np.full(len(self), exponent)
        self.scale, self.shift = self._weigh(self._squares(self.dtype))

    def _checked_squares(self, name: str) -> np.ndarray:
        """Squared length of each row, after the powers of two were found that keep it within the format."""
        low, high = _LENGTHS[self.dtype.itemsize]
        squares = self._squares(self.dtype)
        if squares.min() > low**2 and squares.max() < high**2:
            return squares
        peaks = np.concatenate([np.abs(piece).max(axis=1) for _, piece in self.pieces()])  # NaN stays NaN
        refuse_holes(name, ~np.isfinite(peaks))
        self._zeros = int((peaks == 0).sum())
        largest, smallest = peaks.max(), peaks.min(where=peaks > 0, initial=np.inf)
        is_large = float(largest) * np.sqrt(self._array.shape[1]) >= high
        if self._similarity == "euclidean":
            self.exponent = int(np.frexp(largest)[1]) if is_large or 0 < largest <= low else 0
        elif is_large or smallest <= low:
            self._exponents = np.where(peaks > 0, np.frexp(peaks)[1], 0)
        return self._squares(np.dtype(np.float64)) if largest > 0 else np.zeros(len(peaks))

    def _repeated(self) -> tuple[tuple[np.ndarray, np.ndarray], bool]:
        """Rows that repeat another, with the first of each, and whether all rows are equal but for rounding."""
        by_direction = self._similarity == "cosine"
        is_collapsed = are_alike(self.pieces, by_direction, ROUNDING)
        if is_collapsed and by_direction and are_alike(self.pieces, by_direction, 4 * np.finfo(self.dtype).eps):
            return (np.arange(1, len(self)), np.zeros(len(self) - 1, dtype=np.int64)), is_collapsed
        rows, firsts = duplicate_rows(self.pieces, by_direction)
        return (rows, firsts), is_collapsed or (len(self) > 1 and len(rows) == len(self) - 1)

    def _weigh(self, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """What makes scores of inner products, per item: a factor, and for Euclidean a term to subtract."""
        if self._similarity == "euclidean":
            return np.full(len(squares), 2.0), squares  # 2 q g - g g orders items as -|q - g| does
        if self._similarity == "inner":
            relative = (
                0 if self._exponents is None else self._exponents - self._exponents[squares > 0].max(initial=-1100)
            )
            return np.ldexp(np.ones(len(squares), dtype=self.dtype), relative), None
        norms = np.sqrt(squares)
        with np.errstate(divide="ignore"):
            return np.where(norms > 0, 1 / norms, 0).astype(self.dtype), None

    def _squares(self, dtype: np.dtype) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            return np.concatenate([np.einsum("ij,ij->i", piece, piece, dtype=dtype) for _, piece in self.pieces()])


def collapse_note(name: str, rows: int, zeros: int, is_collapsed: bool) -> str | None:
    """A sentence on embeddings that carry no information, or None.

    Args:
        name: "images" or "texts".
        rows: Number of embeddings.
        zeros: How many of them are zero vectors.
        is_collapsed: All are equal, but for rounding.
    """
    if zeros:
        fraction = f"{zeros} of {rows} {name} ({100 * zeros / rows:.1f} %)"
        return f"{fraction} are zero vectors, which match nothing; check the encoder"
    if is_collapsed and rows > 1:
        return f"all {rows} {name} have the same embedding: the encoder has collapsed, and no ranking means anything"
    return None


def refuse_holes(name: str, holes: Bool[np.ndarray, " rows"]) -> None:
    """Names the rows that hold NaN or infinite values.

    Raises:
        DataError: There is such a row.
    """
    if holes.any():
        rows = np.flatnonzero(holes)
        raise DataError(
            f"{len(rows)} of {len(holes)} {name} hold NaN or infinite values, first at rows "
            f"{', '.join(map(str, rows[:5]))}; check the encoder or leave these rows out"
        )


class EmbeddingScores:
    """Scores of embeddings by blocks of queries, higher is nearer.

    Cosine divides after the product, by the norm of the item alone: the query's own norm changes no order, and codes
    whose products are whole numbers keep their exact ties.

    Args:
        images: Image side.
        texts: Caption side.
        similarity: ``cosine``, ``inner`` or ``euclidean``.
        whole: Compute the whole matrix at once and use it in both directions.
    """

    def __init__(self, images: Side, texts: Side, similarity: Similarity, whole: bool = False) -> None:
        self._sides = {"i2t": (images, texts), "t2i": (texts, images)}
        self.similarity = similarity
        self.dtype = images.dtype
        self.notes = tuple(side.note for side in (images, texts) if side.note)
        if images.exponent or texts.exponent:
            for side in (images, texts):
                side.shrink(max(images.exponent, texts.exponent))
        self._whole: np.ndarray | None = None
        if whole:
            self._whole = np.empty((len(images), len(texts)), dtype=self.dtype)
            matmul(images.rows(0, len(images)), texts.rows(0, len(texts)).T, self._whole)

    def block(self, direction: str, start: int, stop: int, out: Float[np.ndarray, "queries items"]) -> None:
        """Products of the queries from ``start`` to before ``stop`` with every item, into ``out``."""
        if self._whole is not None:
            return
        queries, items = self._sides[direction]
        rows = queries.rows(start, stop)
        for first, piece in items.pieces():
            matmul(rows, piece.T, out[:, first : first + len(piece)])

    def finish(self, direction: str, start: int, out: Float[np.ndarray, "queries items"]) -> None:
        """Turns products into scores, for the rows of a block from query ``start``; called by several threads."""
        items = self._sides[direction][1]
        if self._whole is not None:
            matrix = self._whole if direction == "i2t" else self._whole.T
            np.multiply(matrix[start : start + len(out)], items.scale, out=out)
        elif items.is_weighted:
            out *= items.scale
        if items.shift is not None:
            out -= items.shift
        repeated, firsts = items.duplicates
        if len(repeated):  # their products differ in the last bits, by position, blocks and threads
            out[:, repeated] = out[:, firsts]
