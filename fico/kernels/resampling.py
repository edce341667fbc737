"""Bootstrap over images: counts of drawn images, and medians under those counts."""

import numpy as np
from numpy.typing import NDArray

from fico.kernels.compiled import Ints, Reals, kernel


@kernel
def count_draws(draws: NDArray[np.int32], counts: Reals) -> None:
    """How often each image was drawn in each resample (rows), into ``counts``."""
    counts[:] = 0
    for b in range(len(draws)):
        for n in range(draws.shape[1]):
            counts[b, draws[b, n]] += 1


@kernel
def weighted_medians(values: Reals, images: Ints, counts: Reals, sizes: Reals, out: Reals) -> None:
    """Median of the ascending ``values`` in each resample, where a value counts as often as its image was drawn.

    ``sizes`` is the number of values in each resample. An even number gives the mean of the two middle values; an
    empty resample gives NaN.
    """
    for b in range(len(counts)):
        size = np.int64(sizes[b])
        if size == 0:
            out[b] = np.nan
            continue
        lower, upper, seen, n = (size - 1) // 2, size // 2, np.int64(0), -1
        while seen <= lower:
            n += 1
            seen += np.int64(counts[b, images[n]])
        middle = values[n]
        while seen <= upper:
            n += 1
            seen += np.int64(counts[b, images[n]])
        out[b] = (middle + values[n]) / 2
