"""Hash codes from floats by iterative quantisation (ITQ), trained by FAISS."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from fico.codes import HashCodes, check_bits
from fico.errors import DataError, UsageError
from fico.search.base import import_faiss, to_floats
from fico.search.gpu.device import packed_signs, to_tensor
from fico.search.index_file import Arrays, Settings
from fico.util.arrays import Embeddings

_ROWS = 65_536


class ITQ:
    """PCA to ``bits`` dimensions, the rotation that brings them nearest to +-1, and the sign.

    Args:
        bits: Code length, a multiple of 8, at most the dimension of the data.
        seed: Of the draw of training rows and of the first rotation.
        train_rows: Rows to learn from, drawn without replacement. None: 10 per dimension, at least 32,768.

    Raises:
        UsageError: ``bits`` is not a positive multiple of 8.

    Source:
        Gong and Lazebnik, CVPR 2011; FAISS ``ITQTransform`` (50 iterations, mean removed, rows not normalised).
    """

    def __init__(self, bits: int = 64, seed: int = 1234, train_rows: int | None = None) -> None:
        check_bits(bits)
        self.bits, self.seed = bits, seed
        self.train_rows = train_rows
        self._matrix: np.ndarray | None = None
        self._offset = np.empty(0, np.float32)

    def fit(self, *rows: Embeddings) -> "ITQ":
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
            raise UsageError("ITQ is not fitted; call fit(rows) first")
        return self._matrix, self._offset

    @property
    def is_fitted(self) -> bool:
        """Whether ``fit`` was called."""
        return self._matrix is not None

    @property
    def dim(self) -> int | None:
        """Width of the rows it was fitted on."""
        return None if self._matrix is None else int(self._matrix.shape[1])

    def encode(self, rows: Embeddings, what: str = "items") -> HashCodes:
        """Codes of rows; of rows on a device they are computed there.

        Raises:
            UsageError: Called before ``fit``.
            DataError: Another width than the rows of ``fit``, or NaN.
        """
        matrix, offset = self.projection
        if isinstance(rows, Tensor) and rows.device.type != "cpu":
            there = to_tensor(rows, what, str(rows.device), self.dim)
            on_device = (torch.from_numpy(part).to(there.device) for part in (matrix, offset))
            return HashCodes.from_packed(packed_signs(there, *on_device), self.bits)
        floats = to_floats(rows, what, self.dim)
        blocks = (floats[at : at + _ROWS] for at in range(0, len(floats), _ROWS))
        return HashCodes.joined([HashCodes.from_bits(block @ matrix.T + offset > 0) for block in blocks])

    def state(self) -> tuple[Settings, Arrays]:
        """Settings and arrays for an index file."""
        matrix, offset = self.projection
        return {"bits": self.bits, "seed": self.seed, "train_rows": self.train_rows}, {
            "itq_matrix": matrix,
            "itq_offset": offset,
        }

    @classmethod
    def restored(cls, settings: Settings, arrays: Arrays) -> "ITQ":
        """What ``state`` described."""
        itq = cls(**settings)
        itq._matrix, itq._offset = arrays["itq_matrix"], arrays["itq_offset"]
        return itq


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
