"""Scores on a torch device, by blocks of queries: of embeddings, of codes, or from score matrices."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fico.codes import HashCodes
from fico.evaluation.engines.compiled import ScoreSource, count_scored
from fico.metrics.specification import Direction
from fico.similarity import Similarity, refuse_holes, score_dtype


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
    """Scores of embeddings on a device.

    Args:
        images: ``images dim``, checked for holes.
        texts: ``captions dim``.
        similarity: Codes under ``hamming`` come as +1 and -1, whose inner product orders them.
    """

    notes: tuple[str, ...] = ()  # what a reader must know about the embeddings

    def __init__(self, images: Tensor, texts: Tensor, similarity: Similarity) -> None:
        self._sides = {"i2t": (images, texts), "t2i": (texts, images)}
        self._weights = {way: _item_weights(items, similarity) for way, (_, items) in self._sides.items()}
        self.device = images.device
        self.bits = images.shape[1] if similarity == "hamming" else None

    def scores(self, direction: Direction, start: int, stop: int) -> Float[Tensor, "queries items"]:
        """Scores of some queries with every item."""
        queries, items = self._sides[direction]
        with full_precision():
            scores = queries[start:stop] @ items.T
        scale, shift = self._weights[direction]
        if scale is not None:
            scores *= scale
        return scores if shift is None else scores.sub_(shift)

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


def _item_weights(items: Tensor, similarity: Similarity) -> tuple[Tensor | None, Tensor | None]:
    """What makes scores of inner products, per item: a factor, and a term to subtract."""
    if similarity == "euclidean":
        return None, (items * items).sum(dim=1) / 2  # q g - g g / 2 orders items as -|q - g| does
    if similarity != "cosine":
        return None, None
    norms = torch.linalg.vector_norm(items, dim=1, dtype=torch.float64)
    return torch.where(norms > 0, 1 / norms, 0).to(items.dtype), None


@contextmanager
def full_precision() -> Iterator[None]:
    """Products of float32 in float32: what a training chose for its own speed would change ranks here."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def signs(codes: HashCodes) -> Tensor:
    """Codes as +1 and -1, float32: products of up to 2^24 bits are exact."""
    return torch.from_numpy(codes.to_signs())


def on_device(name: str, side: np.ndarray | Tensor, similarity: Similarity, device: torch.device) -> Tensor:
    """Embeddings on the device in the precision of the scores: half precision becomes float32, which loses no bit.

    Raises:
        DataError: NaN or infinite rows.
    """
    dtype = np.dtype(np.float64) if similarity == "euclidean" else score_dtype(side)
    tensor = side.detach() if isinstance(side, Tensor) else torch.from_numpy(np.ascontiguousarray(side))
    tensor = tensor.to(device, torch.float64 if dtype == np.float64 else torch.float32)
    refuse_holes(name, (~tensor.isfinite().all(dim=1)).cpu().numpy())
    return tensor
