"""Instance retrieval: a caption and its own image are right for each other, nothing else is."""

import numpy as np
from jaxtyping import Bool, Int64

from fico.metrics.specification import Direction
from fico.types import Correspondence


class InstanceRetrieval:
    """Own items of every query, in both directions.

    Args:
        correspondence: The image row of each caption.
        images: Number of images; those without captions are queries without a right item, and distractors for t2i.
    """

    def __init__(self, correspondence: Correspondence, images: int) -> None:
        rows = correspondence.caption_to_image
        self.caption_to_image = rows
        self.images = images
        self._captions = np.argsort(rows, kind="stable")
        self._first = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=images))])

    def own(self, direction: Direction) -> tuple[Int64[np.ndarray, " starts"], Int64[np.ndarray, " pairs"]]:
        """Own items of query q as ``items[start[q]:start[q + 1]]``: (start, items)."""
        if direction == "i2t":
            return self._first, self._captions
        return np.arange(len(self.caption_to_image) + 1), self.caption_to_image

    def images_of(self, direction: Direction) -> tuple[Int64[np.ndarray, " queries"], Int64[np.ndarray, " items"]]:
        """Image row of each query and of each item."""
        images = np.arange(self.images)
        return (images, self.caption_to_image) if direction == "i2t" else (self.caption_to_image, images)

    def relevant(self, direction: Direction, start: int, stop: int) -> Bool[np.ndarray, "queries items"]:
        """Relevance of all items for the queries from ``start`` to before ``stop``."""
        queries, items = self.images_of(direction)
        own: np.ndarray = queries[start:stop, None] == items[None, :]
        return own
