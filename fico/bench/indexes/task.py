"""R@K and mAP@K of the retrieval task, from the items that an index found."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int64

from fico.metrics.specification import Denominator, Direction, Empty
from fico.types import Correspondence, Ranking

_CELLS = 2**24  # pairs whose labels are compared in one go
RECALL_AT = (1, 5, 10)
MAP_AT = (10, 100)


class TaskMetrics:
    """R@K and mAP@K of rankings of one data set in both directions, tied items as ranked (``ties="index"``).

    Args:
        correspondence: The image of each caption, and perhaps the database, whose items rankings then count.
        images: Number of images.
        labels: Multi-hot ``images classes``; without them no mAP@K.
        recall: Whether R@K is wanted.
        ap: Divisor of AP@K, as ``fico.evaluate`` takes it.
        empty: ``skip`` leaves out category queries without a relevant item; otherwise they count 0.
        recall_at: Cuts of R@K.
        map_at: Cuts of mAP@K.
    """

    def __init__(
        self,
        correspondence: Correspondence,
        images: int,
        labels: Bool[np.ndarray, "images classes"] | None = None,
        *,
        recall: bool = True,
        ap: Denominator = "hits",
        empty: Empty = "zero",
        recall_at: Sequence[int] = RECALL_AT,
        map_at: Sequence[int] = MAP_AT,
    ) -> None:
        captions = correspondence.caption_to_image
        rows = correspondence.searched(images)
        self._owners = {
            "i2t": (rows["i2t"][0], captions[rows["i2t"][1]]),
            "t2i": (captions[rows["t2i"][0]], rows["t2i"][1]),
        }
        # float32: products of 0 and 1, exact up to 2**24 classes, and by BLAS
        self._labels = None if labels is None else np.asarray(labels, dtype=np.float32)
        self._ap, self._empty = ap, empty
        self._recall_at, self._map_at = recall_at if recall else (), map_at

    def __call__(self, direction: Direction, found: Ranking) -> dict[str, float]:
        """R@K and mAP@K as fractions, for the cuts that the ranking reaches.

        Args:
            direction: Of the search.
            found: Every query of that direction in order; item -1 where the index gave none.

        Returns:
            ``R@1`` and so on. A cut beyond the ranking is left out unless the ranking holds every item.
        """
        query_images, item_images = self._owners[direction]
        depth = found.indices.shape[1]
        is_whole = depth >= len(item_images)
        metrics = {
            f"R@{k}": value
            for k, value in zip(self._recall_at, self._recall(query_images, item_images, found.indices), strict=True)
            if k <= depth or is_whole
        }
        cuts = [k for k in self._map_at if k <= depth or is_whole]
        if self._labels is not None and cuts:
            values = self._mean_precisions(query_images, item_images, found.indices, cuts)
            metrics |= {f"mAP@{k}": value for k, value in zip(cuts, values, strict=True)}
        return metrics

    def _recall(
        self, query_images: Int64[np.ndarray, " queries"], item_images: Int64[np.ndarray, " items"], found: np.ndarray
    ) -> list[float]:
        matches = (item_images[found] == query_images[:, None]) & (found >= 0)
        has_match = np.isin(query_images, item_images)
        return [float(matches[has_match, :k].any(axis=1).mean()) for k in self._recall_at]

    def _mean_precisions(
        self, query_images: np.ndarray, item_images: np.ndarray, found: np.ndarray, cuts: Sequence[int]
    ) -> list[float]:
        assert self._labels is not None
        rows = max(1, _CELLS // len(self._labels))
        parts = [
            self._precisions(query_images[start : start + rows], item_images, found[start : start + rows], cuts)
            for start in range(0, len(query_images), rows)
        ]
        values, counts = (np.concatenate(column) for column in zip(*parts, strict=True))
        counted = values[counts > 0] if self._empty == "skip" else values
        return [float(value) for value in counted.mean(axis=0)] if len(counted) else [0.0] * len(cuts)

    def _precisions(
        self, query_images: np.ndarray, item_images: np.ndarray, found: np.ndarray, cuts: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """AP of some queries at each cut, and how many items are relevant to each."""
        assert self._labels is not None
        share_label = self._labels[query_images] @ self._labels.T > 0  # "queries images"
        relevant = np.take_along_axis(share_label, item_images[found], axis=1) & (found >= 0)
        counts = share_label @ np.bincount(item_images, minlength=len(self._labels))
        precisions = np.cumsum(relevant, axis=1) / np.arange(1, found.shape[1] + 1) * relevant
        sums = np.cumsum(precisions, axis=1)
        values = np.empty((len(query_images), len(cuts)))
        for column, cut in enumerate(cuts):
            last = min(cut, found.shape[1]) - 1
            hits = relevant[:, : last + 1].sum(axis=1)
            divisor = {"hits": hits, "min_k_r": np.minimum(cut, counts), "r": counts}[self._ap]
            values[:, column] = sums[:, last] / np.maximum(divisor, 1)
        return values, counts
