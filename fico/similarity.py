"""Similarities of embeddings, computed by blocks of queries: cosine, inner product, negative Euclidean distance."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fico.errors import DataError
from fico.util.matmul import matmul

Similarity = Literal["cosine", "inner", "euclidean", "hamming"]
SIMILARITIES: tuple[Similarity, ...] = ("cosine", "inner", "euclidean", "hamming")
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
