"""Bootstrap over images: medians under counts of drawn images."""

import numpy as np

from fico.metrics.kernels.compiled import Ints, Reals, kernel, subroutine


@subroutine
def _value_at(images: Ints, weights: Reals, n: int, before: float, target: float) -> tuple[int, float]:
    """Index of the value that holds position ``target``, and the weight before it; walks from ``n``."""
    while before > target:
        n -= 1
        before -= weights[images[n]]
    while before + weights[images[n]] <= target:
        before += weights[images[n]]
        n += 1
    return n, before


@kernel
def weighted_medians(
    values: Reals, images: Ints, counts: Reals, sizes: Reals, start: int, before: Reals, out: Reals
) -> None:
    """Median of the ascending ``values`` in each resample, where a value counts as often as its image was drawn.

    An even number gives the mean of the two middle values; an empty resample gives NaN.

    Args:
        values: Ascending.
        images: Image row of each value.
        counts: How often each image was drawn, per resample.
        sizes: Number of values in each resample.
        start: Index from which each search walks; the median of all values is never far.
        before: Number of values below ``start`` in each resample.
        out: Receives the medians.
    """
    for b in range(len(counts)):
        if sizes[b] == 0:
            out[b] = np.nan
            continue
        n, seen = _value_at(images, counts[b], start, before[b], (sizes[b] - 1) // 2)
        out[b] = values[n]
        n, seen = _value_at(images, counts[b], n, seen, sizes[b] // 2)
        out[b] = (out[b] + values[n]) / 2
