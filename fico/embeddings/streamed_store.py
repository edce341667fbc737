"""An embedding store whose rows are written to their places as they come: they are never in memory as a whole."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from fico.embeddings.manifest import FILES, StoredSide
from fico.embeddings.safetensors_stream import Layout
from fico.embeddings.store import stored_rows
from fico.types import EncodedBatch


def as_stored(
    batch: EncodedBatch, ids: tuple[Sequence[str], Sequence[str]], model: str, bits: int | None
) -> EncodedBatch:
    """A batch on the CPU as it is stored: codes packed, half precision as float32, without the states of a re-ranker.

    Args:
        batch: As a module encodes it.
        ids: Names of the images and of the captions of a split; row ``i`` of several copies has the name ``i % count``.
        model: Name of the model, for messages.
        bits: Code length; None for floats.

    Raises:
        DataError: A value is NaN or infinite, or a code holds a third value.
    """
    rows = []
    for values, numbers, names, side in (
        (batch.images, batch.image_ids, ids[0], "image"),
        (batch.texts, batch.text_ids, ids[1], "caption"),
    ):
        floats = values.detach().cpu()
        floats = floats.float() if floats.dtype in (torch.bfloat16, torch.float16) else floats
        named = [names[number % len(names)] for number in numbers.tolist()]
        rows.append(torch.from_numpy(stored_rows(floats, named, side, model, bits)))
    return EncodedBatch(rows[0], batch.image_ids, rows[1], batch.text_ids, batch.text_lengths)


class StreamedStore:
    """The two files of an `EmbeddingStore`, whose rows several processes may write at a time, in any order.

    Every process makes the object; one of them calls `create`, then each calls `write`.

    Args:
        folder: Where the files are.
        first: Any batch of the split, as `as_stored` gives it: widths and dtypes of the rows.
        images: Images of the split.
        texts: Captions of the split.
        words: Most words of a caption, where each word is a vector.
        labels: ``images classes`` of all images, or of the first copy of them.
    """

    def __init__(
        self,
        folder: Path,
        first: EncodedBatch,
        *,
        images: int,
        texts: int,
        words: int = 0,
        labels: Bool[np.ndarray, "images classes"] | None = None,
    ) -> None:
        self._folder = folder
        self._labels = None if labels is None else np.packbits(labels, axis=1)
        text_width = (words, *first.texts.shape[2:]) if first.texts.ndim == 3 else tuple(first.texts.shape[1:])
        sides = {
            "images": {"images": (_dtype(first.images), (images, *first.images.shape[1:]))},
            "texts": {"texts": (_dtype(first.texts), (texts, *text_width))},
        }
        if self._labels is not None:
            sides["images"]["labels"] = ("uint8", (images, self._labels.shape[1]))
        if first.text_lengths is not None:
            sides["texts"]["lengths"] = (_dtype(first.text_lengths), (texts,))
        self._sides, self._layouts = sides, {side: Layout(tensors) for side, tensors in sides.items()}

    def create(self) -> None:
        """Create both files, with all labels; the rows are zeros."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for side, layout in self._layouts.items():
            layout.create(self._folder / FILES[side])
        if self._labels is not None:
            with (self._folder / FILES["images"]).open("r+b") as file:
                for row in range(0, self._sides["images"]["labels"][1][0], len(self._labels)):
                    self._layouts["images"].write(file, "labels", row, self._labels)

    def write(self, batches: Iterable[EncodedBatch]) -> None:
        """Write rows to their places.

        Args:
            batches: As `as_stored` gives them, in any order; ids are rows of the split.
        """
        words = self._sides["texts"]["texts"][1][1]
        with (
            (self._folder / FILES["images"]).open("r+b") as images,
            (self._folder / FILES["texts"]).open("r+b") as texts,
        ):
            for batch in batches:
                for row, part in _runs(batch.image_ids):
                    self._layouts["images"].write(images, "images", row, batch.images[part].numpy())
                for row, part in _runs(batch.text_ids):
                    self._layouts["texts"].write(texts, "texts", row, _padded(batch.texts[part].numpy(), words))
                    if batch.text_lengths is not None:
                        self._layouts["texts"].write(texts, "lengths", row, batch.text_lengths[part].numpy())

    def described(self, ids: tuple[Sequence[str], Sequence[str]]) -> dict[str, StoredSide]:
        """Both sides for the manifest.

        Args:
            ids: Names of the images and of the captions, of the first copy where there are several.
        """
        names = dict(zip(FILES, ids, strict=True))
        return {
            side: StoredSide(shape, dtype, names[side]) for side in FILES for dtype, shape in [self._sides[side][side]]
        }


def _dtype(values: Tensor) -> str:
    return str(values.dtype).removeprefix("torch.")


def _runs(ids: Tensor) -> Iterator[tuple[int, slice]]:
    """First id and place of each run of successive ids."""
    ends = [*((ids.diff() != 1).nonzero().flatten() + 1).tolist(), len(ids)]
    start = 0
    for end in ends:
        if end > start:
            yield int(ids[start]), slice(start, end)
        start = end


def _padded(rows: np.ndarray, words: int) -> np.ndarray:
    """Rows of words, padded with zeros to as many as the file has."""
    return np.pad(rows, ((0, 0), (0, words - rows.shape[1]), (0, 0))) if rows.ndim == 3 else rows
