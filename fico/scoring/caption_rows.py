"""Rows of captions by their numbers, and pairs by their image."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor


class CaptionRows:
    """Rows of the captions on the device, and their lengths.

    Args:
        rows: ``captions words ...``, or of ``has_words=False`` one vector a caption.
        lengths: Words of each caption; None: all are as long as they are wide.
        device: Of the scorer.
        has_words: Whether padding can be cut off.
    """

    def __init__(self, rows: Tensor, lengths: Tensor | None, device: torch.device, has_words: bool = True) -> None:
        self._has_words = has_words
        self._rows, self._device = _on_device(rows, device), device
        self.lengths = torch.full((len(rows),), rows.shape[1]) if lengths is None else lengths.cpu()

    def __getitem__(self, numbers: Int64[np.ndarray, "*numbers"]) -> tuple[Tensor, Tensor]:
        """Rows without padding behind the longest, and lengths, in the shape of the numbers."""
        wanted = torch.from_numpy(numbers)
        lengths = self.lengths[wanted]
        rows = self._rows[:, : int(lengths.max())] if self._has_words else self._rows
        rows = rows[wanted.to(self._rows.device)]
        return rows.to(self._device), lengths.to(self._device)

    def packed(self, numbers: Int64[np.ndarray, " captions"], lengths: Int64[np.ndarray, "rows texts"]) -> Tensor:
        """The words of captions one after the other, without padding.

        Args:
            numbers: Of the captions, row by row.
            lengths: Their words, 0 behind the last caption of a row.

        Returns:
            ``rows words dim``; behind the last word of a shorter row any other.
        """
        per_row, per_caption = lengths.sum(axis=1), lengths[lengths > 0]
        first = numbers * self._rows.shape[1] - (np.cumsum(per_caption) - per_caption)
        words = np.zeros((len(lengths), per_row.max()), np.int64)
        words[np.arange(per_row.max()) < per_row[:, None]] = np.repeat(first, per_caption) + np.arange(per_row.sum())
        wanted = torch.from_numpy(words.ravel()).to(self._rows.device)
        return self._rows.flatten(0, 1).index_select(0, wanted).view(*words.shape, -1).to(self._device)


def pairs_by_image(image: Int64[np.ndarray, " pairs"], most: int | None = None) -> Int64[np.ndarray, "parts two"]:
    """First and last position (exclusive) of the pairs of each image, in parts of at most ``most``.

    Args:
        image: Of each pair, ascending.
        most: None: one part an image.
    """
    _, starts, counts = np.unique(image, return_index=True, return_counts=True)
    parts = np.ones_like(counts) if most is None else -(-counts // most)
    number = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)
    starts, counts, parts = (np.repeat(values, parts) for values in (starts, counts, parts))
    return np.stack([starts + counts * number // parts, starts + counts * (number + 1) // parts], axis=1)


def _on_device(values: Tensor, device: torch.device) -> Tensor:
    """Moved to the GPU if that takes at most half of its free memory, as every caption is read about k times."""
    if device.type != "cuda":
        return values
    free, _ = torch.cuda.mem_get_info(device)
    return values.to(device) if values.numel() * values.element_size() <= free // 2 else values


def even_lists(count: int, most: int) -> list[int]:
    """As few lists as there can be, of about as many captions each."""
    return [len(part) for part in np.array_split(np.arange(count), -(-count // most))]


def lists_by_fours(count: int, most: int) -> list[int]:
    """Full lists, then some of a quarter, a sixteenth and so on: few sizes, so that lists of many images stack."""
    sizes: list[int] = []
    while count:
        sizes += [most] * (count // most)
        count, most = count % most, max(1, most // 4)
    return sizes


def stacked_lists(
    image: Int64[np.ndarray, " pairs"],
    length: Int64[np.ndarray, " pairs"],
    cut: Callable[[int], Sequence[int]],
    size: int,
) -> Iterator[Int64[np.ndarray, "lists captions"]]:
    """Positions of pairs in lists of one image and about one length; lists of as many captions are stacked.

    Args:
        image: Of each pair, ascending.
        length: Words of the caption of each pair.
        cut: Captions of each list, by the number of an image's captions; `even_lists` or `lists_by_fours`.
        size: Pairs of a stack, unless it is one list.
    """
    order = np.lexsort((length, image))
    lists = [
        part
        for start, stop in pairs_by_image(image).tolist()
        for part in np.split(order[start:stop], np.cumsum(cut(stop - start))[:-1])
    ]
    lists.sort(key=lambda cells: (len(cells), length[cells[-1]]))
    start = 0
    for at in range(1, len(lists) + 1):
        count = len(lists[start])
        if at == len(lists) or len(lists[at]) != count or (at - start + 1) * count > size:
            yield np.stack(lists[start:at])
            start = at
