"""Scores of embeddings on the CPU, by blocks of queries: products on several threads, completed in pieces of rows."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import Float

from fico.similarity import Side, Similarity, share_power
from fico.util.threads import matmul


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
        share_power(images, texts)
        self._sides = {"i2t": (images, texts), "t2i": (texts, images)}
        self._weights = {way: _Weights.of(items) for way, (_, items) in self._sides.items()}
        self.similarity = similarity
        self.dtype = images.dtype
        self.notes = tuple(side.note for side in (images, texts) if side.note)
        self._whole: np.ndarray | None = None
        if whole:
            self._whole = np.empty((len(images), len(texts)), dtype=self.dtype)
            matmul(images.rows(0, len(images)).numpy(), texts.rows(0, len(texts)).numpy().T, self._whole)

    def block(self, direction: str, start: int, stop: int, out: Float[np.ndarray, "queries items"]) -> None:
        """Products of the queries from ``start`` to before ``stop`` with every item, into ``out``."""
        if self._whole is not None:
            return
        queries, items = self._sides[direction]
        rows = queries.rows(start, stop).numpy()
        for first, piece in items.pieces():
            matmul(rows, piece.numpy().T, out[:, first : first + len(piece)])

    def finish(self, direction: str, start: int, out: Float[np.ndarray, "queries items"]) -> None:
        """Turns products into scores, for the rows of a block from query ``start``; called by several threads."""
        items = self._weights[direction]
        if self._whole is not None:
            matrix = self._whole if direction == "i2t" else self._whole.T
            np.multiply(matrix[start : start + len(out)], items.scale, out=out)
        elif items.is_weighted:
            out *= items.scale
        if items.shift is not None:
            out -= items.shift
        if len(items.repeated):  # their products differ in the last bits, by position, blocks and threads
            out[:, items.repeated] = out[:, items.firsts]


@dataclass(frozen=True, slots=True, eq=False)
class _Weights:
    """What a side of items makes of products, as NumPy arrays; see ``Side``."""

    scale: np.ndarray
    shift: np.ndarray | None
    is_weighted: bool
    repeated: np.ndarray
    firsts: np.ndarray

    @classmethod
    def of(cls, items: Side) -> Self:
        shift = None if items.shift is None else items.shift.numpy()
        repeated, firsts = (part.numpy() for part in items.duplicates)
        return cls(items.scale.numpy(), shift, items.is_weighted, repeated, firsts)
