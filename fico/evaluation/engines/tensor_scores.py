"""Scores on a torch device, by blocks of queries: of embeddings, of codes, or from score matrices."""

from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fico.evaluation.engines.sources import CodeSource, ScoreSource, count_scored
from fico.metrics.specification import Direction
from fico.similarity import Side, score_dtype, share_power
from fico.util.arrays import as_tensor
from fico.util.compute.precision import full_precision

_STORED = (np.float16, np.float32, np.float64, np.int8, np.uint8)  # NumPy's types that are brought there as they are


class DeviceScores(Protocol):
    """Scores by blocks of queries on a device."""

    @property
    def bits(self) -> int | None:
        """Length of codes, whose scores are inner products of +1 and -1; else None."""
        ...

    def scores(self, direction: Direction, start: int, stop: int) -> Float[Tensor, "queries items"]:
        """Scores of the queries from ``start`` to before ``stop`` with every item."""
        ...

    def scored(self, direction: Direction, start: int, stop: int) -> np.ndarray | None:
        """Items of each query that a re-ranking scored; None where all are."""
        ...


class TensorScores:
    """Scores of embeddings on a device; those of ``EmbeddingScores``.

    Half-precision rows are multiplied in float32, which loses no bit, and cast a piece at a time.

    Args:
        images: Image side, on the device.
        texts: Caption side.
    """

    bits: int | None = None

    def __init__(self, images: Side, texts: Side) -> None:
        share_power(images, texts)
        self._sides = {"i2t": (images, texts), "t2i": (texts, images)}
        self.notes = tuple(side.note for side in (images, texts) if side.note)
        self.device = images.scale.device

    def scores(self, direction: Direction, start: int, stop: int) -> Float[Tensor, "queries items"]:
        """Scores of some queries with every item."""
        queries, items = self._sides[direction]
        rows = queries.rows(start, stop)
        scores = rows.new_empty(len(rows), len(items))
        with full_precision():
            for first, piece in items.pieces():
                torch.mm(rows, piece.T, out=scores[:, first : first + len(piece)])
        if items.is_weighted:
            scores *= items.scale
        if items.shift is not None:
            scores -= items.shift
        repeated, firsts = items.duplicates
        if len(repeated):  # their products differ in the last bits
            scores[:, repeated] = scores[:, firsts]
        return scores

    def scored(self, direction: Direction, start: int, stop: int) -> None:
        """Every item is scored."""


class CodeTensors:
    """Codes on a device as +1 and -1, float32: products of up to 2^24 bits are exact.

    Args:
        codes: Codes of both sides.
        device: Where they go.
    """

    def __init__(self, codes: CodeSource, device: torch.device) -> None:
        images, texts = (torch.from_numpy(side.to_signs()).to(device) for side in (codes.images, codes.texts))
        self._sides = {"i2t": (images, texts), "t2i": (texts, images)}
        self.device, self.bits, self.notes = device, codes.images.bits, codes.notes

    def scores(self, direction: Direction, start: int, stop: int) -> Float[Tensor, "queries items"]:
        """Inner products of some queries with every item."""
        queries, items = self._sides[direction]
        with full_precision():
            return queries[start:stop] @ items.T

    def scored(self, direction: Direction, start: int, stop: int) -> None:
        """Every item is scored."""


class MatrixTensors:
    """Score matrices, read by rows and brought to a device.

    Args:
        matrices: Reads the rows.
        device: Where they go.
        items: Size of the gallery by direction.
    """

    bits: int | None = None
    notes: tuple[str, ...] = ()

    def __init__(self, matrices: ScoreSource, device: torch.device, items: dict[Direction, int]) -> None:
        self._matrices, self.device, self._items = matrices, device, items
        self._scored: np.ndarray | None = None

    def scores(self, direction: Direction, start: int, stop: int) -> Float[Tensor, "queries items"]:
        """Scores of some queries with every item."""
        rows = np.empty((stop - start, self._items[direction]), dtype=self._matrices.dtype)
        self._matrices.block(direction, start, stop, rows)
        self._scored = count_scored(rows)
        return torch.from_numpy(rows).to(self.device)

    def scored(self, direction: Direction, start: int, stop: int) -> np.ndarray | None:
        """Of the block that was read last."""
        return self._scored


def embeddings_on(device: torch.device, rows: np.ndarray | Tensor) -> Tensor:
    """Rows on a device in the precision that they have there, or in the scores' where torch has no such type."""
    if isinstance(rows, Tensor):
        return rows.detach().to(device)
    dtype = rows.dtype if rows.dtype in _STORED else score_dtype(rows)
    return as_tensor(np.ascontiguousarray(rows, dtype=dtype)).to(device)
