"""From encoded batches to the embeddings of a whole split, each image and caption exactly once."""

from collections.abc import Callable, Iterable, Sequence
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
        folder: Where rows that do not fit into memory well are kept in files that vanish with the process.

    Returns:
        All embeddings on the CPU, in the order of their ids.

    Raises:
        FicoError: The ids are not exactly those of the split, or the folder has no room.
    """
    collector = Collector(images, texts, folder)
    for batch in batches:
        collector.add(encoder(batch))
    return collector.finish()


def join(batches: Sequence[EncodedBatch], *, images: int, texts: int) -> EncodedBatch:
    """Put encoded batches together and in order.

    Args:
        batches: Encoded batches.
        images: Number of images that must be there, with the ids 0 to ``images - 1``.
        texts: Number of captions that must be there.

    Returns:
        All embeddings on the CPU in the order of their ids.

    Raises:
        FicoError: An id is missing, repeated or unknown. A recall over such a gallery would be wrong.
    """
    collector = Collector(images, texts)
    for batch in batches:
        collector.add(batch)
    return collector.finish()


class Halving:
    """Lets an encoder take half as many rows at once whenever the GPU's memory does not hold them.

    What it learnt holds for the next batches too. A single row that does not fit raises torch's error.

    Args:
        encode: Takes tensors with one row per item and returns a tensor, or a tuple of tensors, with as many rows.
    """

    def __init__(self, encode: Callable[..., Any]) -> None:
        self._encode = encode
        self.most: int | None = None
        """Most rows that fit; None as long as all did."""

    def __call__(self, *values: Tensor | None) -> Any:
        """Encode the rows of a batch; a None among the arguments is handed on."""
        rows = len(next(value for value in values if value is not None))
        size = rows if self.most is None else min(self.most, rows)
        done: list[Any] = []
        start = 0
        while start < rows:
            try:
                done.append(self._encode(*(None if value is None else value[start : start + size] for value in values)))
                start += size
            except torch.cuda.OutOfMemoryError:
                if size == 1:
                    raise
                torch.cuda.empty_cache()
                self.most = size = max(1, size // 2)
        return _joined(done)


def halving(encode: Callable[..., Any]) -> Halving:
    """The encoder as a `Halving`."""
    return Halving(encode)


def by_length(
    encode: Callable[..., Any],
    texts: Int64[Tensor, "texts words"],
    lengths: Int64[Tensor, " texts"],
    size: int = 128,
) -> Any:
    """Encode captions sorted by length in parts, so that little padding is computed.

    Args:
        encode: Takes ids ``texts words`` and ``lengths`` and returns a tensor, or a tuple of tensors, with one row per
            text; of a tensor with more axes than two the second counts words and is padded.
        texts: Padded token ids.
        lengths: Real ids of each text.
        size: Texts of a part.

    Returns:
        What ``encode`` gives for all texts in their own order.
    """
    order = lengths.argsort(stable=True)
    parts = [encode(texts[rows, : int(lengths[rows].max())], lengths[rows]) for rows in order.split(size)]
    back = order.argsort()
    found = _joined(parts)
    return tuple(values[back] for values in found) if isinstance(found, tuple) else found[back]


def _joined(parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], tuple):
        return tuple(_stacked(values) for values in zip(*parts, strict=True))
    return _stacked(parts)


def _stacked(parts: Sequence[Tensor]) -> Tensor:
    """Rows of all parts; words of a part with shorter texts are filled up with zeros."""
    if parts[0].ndim > 2:
        most = max(part.shape[1] for part in parts)
        parts = [pad(part, (*(0, 0) * (part.ndim - 2), 0, most - part.shape[1])) for part in parts]
    return torch.cat(list(parts))
