"""Hash codes from floats by iterative quantisation (ITQ), learnt by FAISS."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from fico.codes import check_bits, is_code, pack_codes
from fico.errors import DataError, UsageError
from fico.search.base import import_faiss, to_floats
from fico.search.gpu.device import packed_signs, to_tensor
from fico.search.index_file import Arrays, Settings
from fico.util.arrays import Embeddings

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
        self._matrix: np.ndarray | None = None
        self._offset = np.empty(0, np.float32)

    def fit(self, *rows: Embeddings) -> "Binariser":
        """Learns the transform.

        Args:
            rows: One matrix, or several that shall count by their length (images and texts).

        Raises:
            DataError: Fewer rows or dimensions than bits, different widths, or rows with NaN.
        """
        faiss = import_faiss()
        matrices = [to_floats(rows[0], "items")]
        matrices += [to_floats(other, "queries", matrices[0].shape[1]) for other in rows[1:]]
        chosen = draw_rows(matrices, self.train_rows or max(10 * matrices[0].shape[1], 32_768), self.seed)
        if min(chosen.shape) < self.bits:
            raise DataError(
                f"{chosen.shape[0]} rows of {chosen.shape[1]} dimensions cannot teach a code of {self.bits} bits; "
                f"give at least {self.bits} of both, or fewer bits"
            )
        transform = faiss.ITQTransform(chosen.shape[1], self.bits, True)
        transform.itq.seed = self.seed
        transform.train(chosen)
        linear, vector = transform.pca_then_itq, faiss.vector_to_array
        self._matrix = vector(linear.A).reshape(linear.d_out, linear.d_in)
        # FAISS takes off the mean and brings rows to length 1 before it rotates; the length changes no sign.
        self._offset = -self._matrix @ vector(transform.mean)
        return self

    @property
    def projection(self) -> tuple[np.ndarray, np.ndarray]:
        """Matrix ``bits dim`` and offset ``bits`` of which the code takes the signs.

        Raises:
            UsageError: Read before ``fit``.
        """
        if self._matrix is None:
            raise UsageError("the binariser knows no data yet; call fit(rows) first")
        return self._matrix, self._offset

    @property
    def dim(self) -> int | None:
        """Width of the rows it was fitted on."""
        return None if self._matrix is None else int(self._matrix.shape[1])

    def encode(self, rows: Embeddings, what: str = "items") -> np.ndarray:
        """Packed codes, ``rows x bits / 8``; of rows on a device they are made there.

        Raises:
            UsageError: Called before ``fit``.
            DataError: Another width than the rows of ``fit``, or NaN.
        """
        matrix, offset = self.projection
        if isinstance(rows, Tensor) and rows.device.type != "cpu":
            there = to_tensor(rows, what, str(rows.device), self.dim)
            return packed_signs(there, *(torch.from_numpy(part).to(there.device) for part in (matrix, offset)))
        floats = to_floats(rows, what, self.dim)
        codes = np.empty((len(floats), self.bits // 8), np.uint8)
        for at in range(0, len(floats), _ROWS):
            codes[at : at + _ROWS] = np.packbits(floats[at : at + _ROWS] @ matrix.T + offset > 0, axis=1)
        return codes

    def state(self) -> tuple[Settings, Arrays]:
        """Settings and arrays for an index file."""
        matrix, offset = self.projection
        return {"bits": self.bits, "seed": self.seed, "train_rows": self.train_rows}, {
            "itq_matrix": matrix,
            "itq_offset": offset,
        }

    @classmethod
    def restored(cls, settings: Settings, arrays: Arrays) -> "Binariser":
        """What ``state`` described."""
        binariser = cls(**settings)
        binariser._matrix, binariser._offset = arrays["itq_matrix"], arrays["itq_offset"]
        return binariser


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
        self.bits, self.binariser, self.seed = bits, binariser, seed
        self.takes_codes: bool | None = None

    @property
    def name(self) -> str:
        """``64`` for codes of 64 bits, ``itq64`` for floats made into such."""
        return f"{'itq' if self.takes_codes is False else ''}{self.bits}"

    def fit(self, items: np.ndarray, learn: bool = True, queries: np.ndarray | None = None) -> None:
        """Decides, and learns ITQ where it is needed.

        Args:
            items: The first items.
            learn: False where floats shall stay floats.
            queries: Rows of the other side that ITQ shall be learnt from too.

        Raises:
            DataError: Too few items for a code of 8 bits, or NaN.
            UsageError: Codes whose width is no multiple of 8.
        """
        takes_codes = is_code(items, self.bits)
        if takes_codes:
            self.bits = self.bits or items.shape[1]
            check_bits(self.bits)
        elif learn:
            if self.binariser is None:
                sides = [items] if queries is None else [items, queries]
                self.binariser = Binariser(self.bits or _bits_for(items), self.seed).fit(*sides)
            self.bits = self.binariser.bits
        self.takes_codes = takes_codes

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

    def state(self) -> tuple[Settings, Arrays]:
        """Settings and arrays for an index file."""
        learnt = None if self.binariser is None else self.binariser.state()
        settings = {"bits": self.bits, "seed": self.seed, "takes_codes": self.takes_codes}
        return settings | {"itq": learnt and learnt[0]}, learnt[1] if learnt else {}

    @classmethod
    def restored(cls, settings: Settings, arrays: Arrays) -> "Coder":
        """What ``state`` described."""
        binariser = None if settings["itq"] is None else Binariser.restored(settings["itq"], arrays)
        coder = cls(settings["bits"], binariser, settings["seed"])
        coder.takes_codes = settings["takes_codes"]
        return coder


def _bits_for(array: np.ndarray) -> int:
    bits = min(64, int(min(array.shape)) // 8 * 8)
    if bits == 0:
        raise DataError(f"{array.shape[0]} items of {array.shape[1]} dimensions are too few for a code of 8 bits")
    return bits


def draw_rows(matrices: Sequence[np.ndarray | Tensor], count: int, seed: int) -> np.ndarray:
    """Rows of several matrices, without replacement, in their order; all of them where there are fewer.

    Args:
        matrices: Of equal width; may be mapped files or lie on a device, only the drawn rows are read.
        count: Rows to draw.
        seed: Of the draw.
    """
    lengths = np.cumsum([0, *(len(matrix) for matrix in matrices)])
    rows = np.arange(lengths[-1])
    if count < len(rows):
        rows = np.sort(np.random.default_rng(seed).choice(len(rows), count, replace=False))
    parts = zip(matrices, lengths[:-1], lengths[1:], strict=True)
    drawn = (matrix[rows[(rows >= a) & (rows < b)] - a] for matrix, a, b in parts)
    return np.concatenate([part.cpu().numpy() if isinstance(part, Tensor) else part for part in drawn])
