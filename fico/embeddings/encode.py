"""Embeddings of a whole split without a trainer, and encoding in batches that fit into the memory of a GPU."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor
from torch.nn.functional import pad

from fico.embeddings.collect import Collector
from fico.types import EncodedBatch, PairBatch


@torch.inference_mode()
def encode(
    encoder: Callable[[PairBatch], EncodedBatch],
    batches: Iterable[PairBatch],
    *,
    images: int,
    texts: int,
    folder: Path | None = None,
) -> EncodedBatch:
    """Encode a split without a trainer.

    Args:
        encoder: Takes a batch and returns its embeddings, such as ``UCCHModule(...).eval().encode``.
        batches: Together every image and every caption of the split once, in any order.
        images: Number of images of the split.
        texts: Number of captions of the split.
        folder: Where rows of more than a GiB are kept in temporary files; None keeps them in memory.

    Returns:
        All embeddings on the CPU, in the order of their ids.

    Raises:
        FicoError: The ids are not exactly those of the split, or the folder's disk is too small.
    """
    collector = Collector(images, texts, folder)
    for batch in batches:
        collector.add(encoder(batch))
    return collector.finish()


_HALVES = ContextVar("halves", default=True)


@contextmanager
def whole_batches() -> Iterator[None]:
    """While it is open, a batch that does not fit raises the GPU's error instead of being encoded in halves."""
    token = _HALVES.set(False)
    try:
        yield
    finally:
        _HALVES.reset(token)


class AutoBatchSize:
    """Halves the batch size of an encoder whenever the GPU runs out of memory.

    The reduced size is kept for later batches. A single row that does not fit raises torch's error.

    Args:
        encode: Takes tensors with one row per item and returns a tensor, or a tuple of tensors, with as many rows.
    """

    def __init__(self, encode: Callable[..., Any]) -> None:
        self._encode = encode
        self.most: int | None = None
        """Largest batch size that fits; None until memory has run out."""

    def __call__(self, *values: Tensor | None) -> Any:
        """Encode the rows of a batch; an argument that is None is passed on."""
        rows = len(next(value for value in values if value is not None))
        size = rows if self.most is None else min(self.most, rows)
        parts: list[Any] = []
        start = 0
        while start < rows:
            try:
                parts.append(
                    self._encode(*(None if value is None else value[start : start + size] for value in values))
                )
                start += size
            except torch.cuda.OutOfMemoryError:
                if size == 1 or not _HALVES.get():
                    raise
                torch.cuda.empty_cache()
                self.most = size = max(1, size // 2)
        return _joined(parts)


def by_length(
    encode: Callable[..., Any],
    texts: Int64[Tensor, "texts words"],
    lengths: Int64[Tensor, " texts"],
    size: int = 128,
) -> Any:
    """Encode captions in parts of similar length, which avoids most of the padding.

    Args:
        encode: Takes ids ``texts words`` and ``lengths`` and returns a tensor, or a tuple of tensors, with one row per
            text; of a tensor with more axes than two the second counts words and is padded.
        texts: Padded token ids.
        lengths: Number of ids of each text without padding.
        size: Texts per part.

    Returns:
        What ``encode`` returns, for all texts in their original order.
    """
    order = lengths.argsort(stable=True)
    parts = [encode(texts[rows, : int(lengths[rows].max())], lengths[rows]) for rows in order.split(size)]
    original = order.argsort()
    encoded = _joined(parts)
    return tuple(values[original] for values in encoded) if isinstance(encoded, tuple) else encoded[original]


def _joined(parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], tuple):
        return tuple(_stacked(values) for values in zip(*parts, strict=True))
    return _stacked(parts)


def _stacked(parts: Sequence[Tensor]) -> Tensor:
    """Rows of all parts; the second axis is padded with zeros to the longest part."""
    if parts[0].ndim > 2:
        most = max(part.shape[1] for part in parts)
        parts = [pad(part, (*(0, 0) * (part.ndim - 2), 0, most - part.shape[1])) for part in parts]
    return torch.cat(list(parts))
