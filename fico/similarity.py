"""Similarities of embeddings, and what makes scores of their products: cosine, inner product, Euclidean distance."""

import math
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fico.errors import DataError
from fico.util.arrays import as_tensor
from fico.util.compute.precision import full_precision
from fico.util.duplicates import are_alike, duplicate_rows

Similarity = Literal["cosine", "inner", "euclidean", "hamming"]
SIMILARITIES: tuple[Similarity, ...] = ("cosine", "inner", "euclidean", "hamming")
_LENGTHS = {4: (1e-10, 1e10), 8: (1e-100, 1e100)}  # by bytes of a float: between them no product leaves the format
ROUNDING = 1e-6  # embeddings that differ by less of their largest entry count as equal in the note on collapse
CAST_BYTES = 16 * 2**20  # embeddings that need a cast are cast in pieces of this size


def check_pair(
    images: np.ndarray | Tensor, texts: np.ndarray | Tensor, names: tuple[str, str] = ("images", "texts")
) -> None:
    """Refuses sides that cannot be compared, by what the user calls them.

    Raises:
        DataError: Different numbers of dimensions, or different dtypes.
    """
    if images.shape[1] != texts.shape[1]:
        raise DataError(
            f"{names[0]} have {images.shape[1]} dimensions and {names[1]} {texts.shape[1]}; both sides need the same "
            "space"
        )
    first, second = (str(side.dtype).removeprefix("torch.") for side in (images, texts))
    if first != second:
        raise DataError(
            f"{names[0]} are {first} and {names[1]} {second}; convert one side, so that both are compared in one "
            "precision"
        )


def score_dtype(array: np.ndarray | Tensor) -> np.dtype:
    """Precision in which scores are compared: float64 stays, as do wide integers; everything else fits float32."""
    wide = str(array.dtype).endswith(("float64", "int64", "int32"))
    return np.dtype(np.float64 if wide else np.float32)


class Side:
    """Embeddings of one side where they lie, read in pieces in the precision of the scores; for both engines.

    Rows near the ends of their format are divided by powers of two, which loses no bit: under ``cosine`` and ``inner``
    each by its own, under ``euclidean`` both sides by a common one (``shrink``). So no product overflows.

    Args:
        name: "images" or "texts", for errors and notes.
        array: ``rows dim``; a tensor stays on its device.
        similarity: ``euclidean`` is computed in float64, so that no difference of large squares is lost.
        keep_bytes: Keep the cast copy if it needs no more than this.
        cast_bytes: Size of the pieces if it does; None: 16 MiB.

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

    def __init__(
        self,
        name: str,
        array: np.ndarray | Tensor,
        similarity: Similarity,
        keep_bytes: int,
        cast_bytes: int | None = None,
    ) -> None:
        self._array, self._similarity = array, similarity
        self.dtype = np.dtype(np.float64) if similarity == "euclidean" else score_dtype(array)
        self._kind = torch.float64 if self.dtype == np.float64 else torch.float32
        self._exponents: Tensor | None = None
        self.exponent = 0
        row_bytes = array.shape[1] * self.dtype.itemsize
        self._step = max(1, (cast_bytes or CAST_BYTES) // row_bytes)
        if array.shape[0] * row_bytes <= keep_bytes:
            self._array = self.rows(0, len(array))
        self._zeros = 0
        self.duplicates, is_collapsed = self._repeated()
        self.scale, self.shift = self._weigh(self._checked_squares(name))
        self.is_weighted = similarity != "inner" or self._exponents is not None
        self.note = collapse_note(name, len(self), self._zeros, is_collapsed)

    def __len__(self) -> int:
        return len(self._array)

    def rows(self, start: int, stop: int) -> Float[Tensor, "rows dim"]:
        """Rows in the scores' precision."""
        piece = self._array[start:stop]
        if not isinstance(piece, Tensor):
            piece = as_tensor(np.ascontiguousarray(piece, dtype=self.dtype))
        piece = piece.to(self._kind)
        return piece if self._exponents is None else _times_power(piece, -self._exponents[start:stop, None])

    def pieces(self) -> Iterator[tuple[int, Tensor]]:
        """Start row and rows in the scores' precision, in pieces where a cast is needed."""
        stored = str(self._array.dtype).removeprefix("torch.")
        step = len(self) if stored == self.dtype.name and self._exponents is None else self._step
        for start in range(0, len(self), step):
            yield start, self.rows(start, min(start + step, len(self)))

    def shrink(self, exponent: int) -> None:
        """Divides all rows by a power of two."""
        self._exponents = torch.full_like(self.scale, exponent, dtype=torch.int64)
        self.scale, self.shift = self._weigh(self._squares(self._kind))

    def _checked_squares(self, name: str) -> Tensor:
        """Squared length of each row, after the powers of two were found that keep it within the format."""
        low, high = _LENGTHS[self.dtype.itemsize]
        squares = self._squares(self._kind)
        least, most = torch.stack(squares.aminmax()).tolist()  # NaN stays NaN
        if least > low**2 and most < high**2:
            return squares
        peaks = self._of_rows(lambda piece: piece.abs().amax(dim=1))
        refuse_holes(name, ~peaks.isfinite().cpu().numpy())
        self._zeros = int((peaks == 0).sum())
        smallest, largest = torch.stack([peaks.masked_fill(peaks == 0, torch.inf).amin(), peaks.amax()]).tolist()
        is_large = largest * math.sqrt(self._array.shape[1]) >= high
        if self._similarity == "euclidean":
            self.exponent = math.frexp(largest)[1] if is_large or 0 < largest <= low else 0
        elif is_large or smallest <= low:
            self._exponents = peaks.frexp().exponent.long()  # 0 for rows of zeros
        return self._squares(torch.float64) if largest > 0 else torch.zeros_like(peaks)

    def _repeated(self) -> tuple[tuple[Tensor, Tensor], bool]:
        """Rows that repeat another, with the first of each, and whether all rows are equal but for rounding."""
        by_direction = self._similarity == "cosine"
        is_collapsed = are_alike(self.pieces, by_direction, ROUNDING)
        if is_collapsed and by_direction and are_alike(self.pieces, by_direction, 4 * np.finfo(self.dtype).eps):
            rows = torch.arange(1, len(self), device=self.rows(0, 1).device)
            return (rows, torch.zeros_like(rows)), is_collapsed
        rows, firsts = duplicate_rows(self.pieces, by_direction)
        return (rows, firsts), is_collapsed or (len(self) > 1 and len(rows) == len(self) - 1)

    def _weigh(self, squares: Tensor) -> tuple[Tensor, Tensor | None]:
        """What makes scores of inner products, per item: a factor, and for Euclidean a term to subtract."""
        if self._similarity == "euclidean":
            return torch.full_like(squares, 2), squares  # 2 q g - g g orders items as -|q - g| does
        ones = torch.ones_like(squares, dtype=self._kind)
        if self._similarity == "inner":
            if self._exponents is None:
                return ones, None
            relative = self._exponents - self._exponents.masked_fill(squares == 0, -1100).amax()
            return _times_power(ones, relative.clamp(min=-1100, max=0)), None  # above 0 for rows of zeros alone
        norms = squares.double().sqrt().to(squares.dtype)  # torch's root of float32 is not always the nearest
        return torch.where(squares > 0, 1 / norms, 0).to(self._kind), None

    def _squares(self, kind: torch.dtype) -> Tensor:
        with full_precision():
            return self._of_rows(lambda piece: _squared_lengths(piece.to(kind)))

    def _of_rows(self, values: Callable[[Tensor], Tensor]) -> Tensor:
        """A value for each row."""
        return torch.cat([values(part) for _, piece in self.pieces() for part in piece.split(self._step)])


def _squared_lengths(rows: Float[Tensor, "rows dim"]) -> Float[Tensor, " rows"]:
    if not rows.is_cpu:
        return torch.einsum("ij,ij->i", rows, rows)
    array = rows.numpy()  # several times faster there than torch's batched product
    return torch.from_numpy(np.einsum("ij,ij->i", array, array))


def _times_power(values: Tensor, exponents: Tensor) -> Tensor:
    """Values times powers of two, exact unless the result leaves the format; in two steps, as the powers might."""
    half = exponents // 2
    for part in (half, exponents - half):
        values = values * (part + 1023 << 52).view(torch.float64).to(values.dtype)
    return values


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


def share_power(images: Side, texts: Side) -> None:
    """Divides both sides by the power of two that one of them needs, so that distances keep their order."""
    if images.exponent or texts.exponent:
        for side in (images, texts):
            side.shrink(max(images.exponent, texts.exponent))
