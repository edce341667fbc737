"""Where the scores of a block of queries come from: embeddings, codes, or score matrices."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fico.codes import HashCodes
from fico.errors import DataError
from fico.evaluation.engines.device_memory import DEVICE_CAST_BYTES
from fico.evaluation.engines.embedding_scores import EmbeddingScores
from fico.evaluation.engines.sources import FILL, CodeSource, ScoreSource
from fico.evaluation.engines.tensor_scores import CodeTensors, TensorScores, embeddings_on
from fico.evaluation.memory import MemoryPlan
from fico.metrics.specification import Direction
from fico.similarity import Side, Similarity, score_dtype
from fico.util.arrays import as_matrix, as_numpy


def embedding_source(
    images: np.ndarray | Tensor,
    texts: np.ndarray | Tensor,
    similarity: Similarity,
    bits: int | None,
    plan: MemoryPlan,
    device: torch.device | None,
    names: tuple[str, str] = ("images", "texts"),
) -> ScoreSource | CodeSource | TensorScores | CodeTensors:
    """Codes for ``hamming``, else embeddings checked for holes; on a ``device`` when one is given.

    ``names`` is what errors call the two sides.
    """
    if similarity == "hamming":
        codes = CodeSource(HashCodes.of(images, bits, names[0]), HashCodes.of(texts, bits, names[1]))
        return codes if device is None else CodeTensors(codes, device)
    named = ((names[0], images), (names[1], texts))
    if device is not None:
        there = [Side(name, embeddings_on(device, side), similarity, 0, DEVICE_CAST_BYTES) for name, side in named]
        return TensorScores(*there)
    here = ((name, side.cpu() if isinstance(side, Tensor) else side) for name, side in named)
    sides = [Side(name, side, similarity, plan.keep_bytes) for name, side in here]
    return EmbeddingScores(sides[0], sides[1], similarity, plan.whole)


class MatrixScores:
    """Score matrices, one per direction, read by rows; they may be memory-mapped and larger than memory.

    Args:
        matrices: By direction, queries in rows.
        rows: Rows of the queries and of the items to take, by direction, for a fold; None takes all.
        biases: By direction what is taken from every score of an item; the fill value of a re-ranking stays.
    """

    def __init__(
        self,
        matrices: dict[Direction, np.ndarray | Tensor],
        rows: dict[Direction, tuple[np.ndarray, np.ndarray]] | None = None,
        biases: dict[Direction, np.ndarray] | None = None,
    ) -> None:
        self.notes: tuple[str, ...] = ()
        self._matrices, self._rows, self._biases = matrices, rows, biases
        self.dtype = np.result_type(*(score_dtype(matrix) for matrix in matrices.values()))

    def block(self, direction: Direction, start: int, stop: int, out: Float[np.ndarray, "queries items"]) -> None:
        """Scores of some queries, copied into ``out``.

        Raises:
            DataError: NaN, or plus infinity; minus infinity is what a re-ranking leaves at pairs it did not score.
        """
        matrix = self._matrices[direction]
        if self._rows is None:
            rows = matrix[start:stop]
        else:
            queries, items = self._rows[direction]
            rows = matrix[queries[start:stop]][:, items]
        out[:] = as_numpy(rows) if isinstance(rows, Tensor) else rows
        holes = ~(out.max(axis=1) < np.inf)
        if holes.any():
            first = start + int(np.flatnonzero(holes)[0])
            raise DataError(
                f"{direction} scores hold NaN or infinite values in {int(holes.sum())} of the queries {start} to "
                f"{stop - 1}, first in row {first}; look into the model that made them"
            )
        if self._biases is not None:
            bias = self._biases[direction].astype(out.dtype)
            is_scored = out != FILL
            np.subtract(out, bias if self._rows is None else bias[self._rows[direction][1]], out=out, where=is_scored)

    def finish(self, direction: Direction, start: int, out: Float[np.ndarray, "queries items"]) -> None:
        """Nothing is left to do."""


def matrix_side(direction: Direction, scores: Any, shape: tuple[int, int]) -> np.ndarray | Tensor:
    """A score matrix whose shape agrees with the correspondence; never transposed.

    Raises:
        DataError: Another shape.
    """
    array = as_matrix(scores, f"{direction} scores")
    if tuple(array.shape) != shape:
        sides = "images x captions" if direction == "i2t" else "captions x images"
        hint = " (it looks transposed; give its transpose)" if tuple(array.shape) == shape[::-1] else ""
        raise DataError(
            f"{direction} scores have shape {tuple(array.shape)}{hint}; {sides} is {shape[0]} x {shape[1]} here"
        )
    return array
