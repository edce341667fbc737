"""Rows of scores as sorted keys, which rank the items and mark the relevant ones at once."""

import numpy as np
from jaxtyping import Float, Int64, Shaped, UInt64

from fico.metrics.kernels.keys import keys_of_rows
from fico.metrics.kernels.occurrences import highest_scores

SIGNED = {4: np.int32, 8: np.int64}  # by bytes of a float
_FORMATS: dict[int, np.ndarray] = {  # magnitude mask, infinity, bit of 2.0, mantissa bits, exponent field of 1.0
    4: np.array([2**31 - 1, 0x7F800000, 2**30, 23, 127], dtype=np.int32),
    8: np.array([2**63 - 1, 0x7FF0000000000000, 2**62, 52, 1023], dtype=np.int64),
}


class SortedKeys:
    """Keys of the scores of one direction, relevant where images share a label.

    Args:
        query_images: Image row of each query.
        item_images: Image row of each item.
        is_identity: Items are the images themselves, in order.
        labels: Bit sets of each image's labels.
    """

    def __init__(
        self,
        query_images: Int64[np.ndarray, " queries"],
        item_images: Int64[np.ndarray, " items"],
        is_identity: bool,
        labels: UInt64[np.ndarray, "words images"],
    ) -> None:
        self._query_images, self._relevance = query_images, (item_images, is_identity, labels)

    def fill(
        self,
        scores: Float[np.ndarray, "queries items"],
        start: int,
        keys: Shaped[np.ndarray, "queries items"],
        relevant_counts: Int64[np.ndarray, " queries"],
        k: int,
    ) -> Float[np.ndarray, " queries"]:
        """Fills ``keys``, ascending, and the numbers of relevant items, for some queries from ``start`` on.

        Returns:
            The ``k``-th highest score of each.
        """
        lost = np.zeros(len(scores), dtype=np.bool_)
        divisors = np.zeros(len(scores), dtype=keys.dtype)
        memory = tuple(np.empty(count, np.uint8) for count in (self._relevance[2].shape[1], scores.shape[1]))
        images, format_ = self._query_images[start : start + len(scores)], _FORMATS[scores.itemsize]

        def make(values: np.ndarray) -> None:
            bits = values.view(keys.dtype)
            keys_of_rows(bits, images, *self._relevance, format_, keys, relevant_counts, divisors, lost, *memory)

        make(scores)
        if lost.any():
            make(_dense_ranks(scores, lost))
            lowest = np.empty(len(scores), dtype=scores.dtype)
            highest_scores(scores, k, lowest)
            keys.sort(axis=1)
            return lowest
        keys.sort(axis=1)
        return _scores_of(keys[:, -k], divisors, format_).view(scores.dtype)


def _scores_of(
    keys: Shaped[np.ndarray, " queries"], divisors: Shaped[np.ndarray, " queries"], format_: Shaped[np.ndarray, "5"]
) -> Shaped[np.ndarray, " queries"]:
    """The bits of the scores that `keys_of_rows` made keys of."""
    values, infinity, two = keys >> 1, format_[1], format_[2]
    magnitudes = np.where(values == 0, values, abs(values) + divisors)
    magnitudes[values == -two] = infinity
    return np.where(values < 0, magnitudes | ~format_[0], magnitudes)


def _dense_ranks(scores: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Scores with those of some rows replaced by their ranks among the row's distinct scores: the same order."""
    ranks = scores.copy()
    for row in np.flatnonzero(rows):
        ranks[row] = np.unique(scores[row], return_inverse=True)[1]
    return ranks
