"""Four measures of likeness, computed by blocks of queries: cosine, inner product, Euclidean, Hamming."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt64
from torch import Tensor

from fico.errors import DataError, UsageError
from fico.util.matmul import matmul

Similarity = Literal["cosine", "inner", "euclidean", "hamming"]
SIMILARITIES: tuple[Similarity, ...] = ("cosine", "inner", "euclidean", "hamming")
CAST_BYTES = 16 * 2**20  # embeddings that need a cast are cast in pieces of this size


@dataclass(frozen=True, slots=True, eq=False)
class CodeWords:
    """Binary codes, 64 bits a word.

    Args:
        words: ``rows words``; bits behind the code's length are 0.
        bits: Length of a code.
    """

    words: UInt64[np.ndarray, "rows words"]
    bits: int


def as_array(side: str, data: Any) -> np.ndarray | Tensor:
    """Two-dimensional NumPy array, or torch tensor without gradient.

    Raises:
        DataError: Not an array of numbers, not two-dimensional, or empty.
    """
    array: np.ndarray | Tensor = data.detach() if isinstance(data, Tensor) else np.asanyarray(data)
    if isinstance(array, np.ndarray) and array.dtype.kind not in "fiub":
        raise DataError(f"{side} have dtype {array.dtype}; give real numbers or codes")
    if array.ndim != 2 or 0 in array.shape:
        raise DataError(f"{side} have shape {tuple(array.shape)}; give one row per item, rows x dimensions, not empty")
    return array


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


def pack_codes(side: str, codes: np.ndarray | Tensor, bits: int | None = None) -> CodeWords:
    """Codes of +1 and -1 or of 1 and 0 in any dtype, or packed ``uint8`` when ``bits`` says so, as 64-bit words.

    Args:
        side: Name for errors: "images" or "texts".
        codes: One row per item.
        bits: Length of packed codes, eight bits a byte with the first bit highest, as ``numpy.packbits`` makes them;
            for unpacked codes their length may be repeated here.

    Raises:
        DataError: Another value than the two of the encoding, 0 beside -1 included: the sign of an exact 0 is the
            model's to decide (``numpy.where(x < 0, -1, 1)``).
        UsageError: ``bits`` fits neither the packed nor the unpacked form.
    """
    whole = codes.float() if isinstance(codes, Tensor) and codes.dtype == torch.bfloat16 else codes
    array = whole.cpu().numpy() if isinstance(whole, Tensor) else whole
    columns = array.shape[1]
    if bits is None or bits == columns:
        return CodeWords(_words(np.packbits(_bits(side, array), axis=1)), columns)
    if bits < 1 or columns != -(-bits // 8):
        raise UsageError(f"bits={bits} does not fit {side} with {columns} columns, packed or unpacked")
    if array.dtype != np.uint8:
        raise DataError(f"packed {side} are {array.dtype}; packed codes are uint8, eight bits a byte")
    return CodeWords(_words(_without_tail(array, bits)), bits)


def _bits(side: str, array: np.ndarray) -> np.ndarray:
    if array.dtype == bool:
        return array
    low = -1 if array.dtype.kind != "u" and (array < 0).any() else 0
    ones = array == 1
    known = ones | (array == low)
    if not known.all():
        row, column = (int(n) for n in np.argwhere(~known)[0])
        what = "packed codes need bits=" if array.dtype == np.uint8 else f"codes hold only {low} and 1"
        raise DataError(f"{side} row {row} holds {array[row, column]} at bit {column}; {what}")
    return np.asarray(ones)


def _without_tail(packed: np.ndarray, bits: int) -> np.ndarray:
    if bits % 8:
        packed = packed.copy()
        packed[:, -1] &= 0xFF << (8 - bits % 8) & 0xFF
    return packed


def _words(packed: np.ndarray) -> np.ndarray:
    padded = np.zeros((len(packed), -(-packed.shape[1] // 8) * 8), dtype=np.uint8)
    padded[:, : packed.shape[1]] = packed
    return padded.view(np.uint64)


def score_dtype(array: np.ndarray | Tensor) -> np.dtype:
    """Precision in which scores are compared: float64 stays, as do wide integers; everything else fits float32."""
    wide = str(array.dtype).endswith(("float64", "int64", "int32"))
    return np.dtype(np.float64 if wide else np.float32)


class Side:
    """Embeddings of one side, read in pieces in the precision of the scores.

    Args:
        name: "images" or "texts", for errors.
        array: ``rows dim``.
        similarity: ``euclidean`` is computed in float64, so that no difference of large squares is lost.
        keep_bytes: Keep the cast copy if it needs no more than this.

    Raises:
        DataError: NaN or infinite rows, which are named and counted.
    """

    def __init__(self, name: str, array: np.ndarray | Tensor, similarity: Similarity, keep_bytes: int) -> None:
        self._array = array.cpu() if isinstance(array, Tensor) else array
        self.dtype = np.dtype(np.float64) if similarity == "euclidean" else score_dtype(array)
        self._exponent = 0
        if array.shape[0] * array.shape[1] * self.dtype.itemsize <= keep_bytes:
            self._array = self._cast(0, len(array))
        self.scale, self.shift = self._weigh(name, similarity)

    def __len__(self) -> int:
        return len(self._array)

    def _cast(self, start: int, stop: int) -> np.ndarray:
        piece = self._array[start:stop]
        if isinstance(piece, Tensor):
            piece = piece.to(torch.float64 if self.dtype == np.float64 else torch.float32).numpy()
        piece = np.ascontiguousarray(piece, dtype=self.dtype)
        return np.ldexp(piece, -self._exponent) if self._exponent else piece

    def pieces(self) -> Iterator[tuple[int, np.ndarray]]:
        """Start row and rows in the scores' precision, a few megabytes at a time where a cast is needed."""
        rows = len(self._array)
        plain = isinstance(self._array, np.ndarray) and self._array.dtype == self.dtype and not self._exponent
        step = rows if plain else max(1, CAST_BYTES // (self._array.shape[1] * self.dtype.itemsize))
        for start in range(0, rows, step):
            yield start, self._cast(start, min(start + step, rows))

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Rows in the scores' precision."""
        return self._cast(start, stop)

    def _weigh(self, name: str, similarity: Similarity) -> tuple[np.ndarray, np.ndarray | None]:
        """What makes scores of inner products, per item: a factor, and for Euclidean a term to subtract."""
        squares = self._squares(self.dtype)
        if not (squares.min() > 1e-20 and squares.max() < 1e20):  # near the ends of float32, zero or not finite
            squares = self._squares(np.dtype(np.float64))
            if not np.isfinite(squares).all():
                holes = [~np.isfinite(piece).all(axis=1) for _, piece in self.pieces()]
                refuse_holes(name, np.concatenate(holes))
            if self.dtype == np.float32 and not 1e-20 < squares.max() < 1e20:
                self._exponent = int(np.frexp(np.sqrt(squares.max()))[1])  # a power of two loses no bit
        if similarity == "euclidean":
            return np.full(len(squares), 2.0), squares  # 2 q g - g g orders items as -|q - g| does
        if similarity == "inner":
            return np.ones(len(squares), dtype=self.dtype), None
        norms = np.ldexp(np.sqrt(squares), -self._exponent)
        with np.errstate(divide="ignore"):
            return np.where(norms > 0, 1 / norms, 0).astype(self.dtype), None

    def _squares(self, dtype: np.dtype) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            return np.concatenate([np.einsum("ij,ij->i", piece, piece, dtype=dtype) for _, piece in self.pieces()])


def refuse_holes(name: str, holes: Bool[np.ndarray, " rows"]) -> None:
    """Names the rows that hold NaN or infinite values.

    Raises:
        DataError: There is such a row.
    """
    if holes.any():
        rows = np.flatnonzero(holes)
        raise DataError(
            f"{len(rows)} of {len(holes)} {name} hold NaN or infinite values, first at rows "
            f"{', '.join(map(str, rows[:5]))}; look into the encoder or leave these rows out"
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
        elif self.similarity != "inner":
            out *= items.scale
        if items.shift is not None:
            out -= items.shift
