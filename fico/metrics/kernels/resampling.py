"""Bootstrap over images: counts of drawn images, and medians under those counts."""

import numpy as np
from numpy.typing import NDArray

from fico.metrics.kernels.compiled import Ints, Reals, kernel, reduction, subroutine


@reduction
def _dots(first: Reals, second: Reals, weights: Reals) -> tuple[float, float]:
    """Two inner products with the same weights, which are read once."""
    one, two = 0.0, 0.0
    for n in range(len(weights)):
        one += first[n] * weights[n]
        two += second[n] * weights[n]
    return one, two


@kernel
def resample_sums(draws: NDArray[np.int32], sums: Reals, counts: Reals, totals: Reals) -> None:
    """How often each image was drawn in each resample, and the sums over its queries that follow.

    A matrix product by a loop: that of a library costs as much here, and wakes threads that wait for one another.

    Args:
        draws: ``resamples images``: drawn image rows.
        sums: ``columns images``.
        counts: Receives ``resamples images``.
        totals: Receives ``resamples columns``: counts times sums.
    """
    counts[:] = 0
    for b in range(len(draws)):
        for n in range(draws.shape[1]):
            counts[b, draws[b, n]] += 1
    last = len(draws) - 1
    for b in range(0, len(draws), 2):
        for column in range(len(sums)):
            totals[b, column], totals[min(b + 1, last), column] = _dots(
                counts[b], counts[min(b + 1, last)], sums[column]
            )


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
