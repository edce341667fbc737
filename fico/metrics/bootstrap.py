"""Bootstrap over images: all queries of one image are drawn together, because their scores depend on each other."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from fico.kernels.resampling import count_draws, weighted_medians

_CHUNK_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Per-query values of one direction and task.

    Args:
        values: ``queries columns``.
        valid: Queries that enter the means.
        images: Image row of each query.
        medians: Columns whose median is wanted besides the mean.
    """

    values: Float64[np.ndarray, "queries columns"]
    valid: Bool[np.ndarray, " queries"]
    images: Int64[np.ndarray, " queries"]
    medians: tuple[int, ...] = ()


def replicates(
    samples: Sequence[Sample], images: int, resamples: int, seed: Sequence[int]
) -> list[tuple[Float64[np.ndarray, "resamples columns"], Float64[np.ndarray, "resamples medians"]]]:
    """Means and medians of every sample in every resample of the images.

    Args:
        samples: All are resampled by the same draws, so that their replicates are paired.
        images: Number of images to draw from, as many as are drawn.
        resamples: Number of resamples.
        seed: Seed of the draws.

    Returns:
        Per sample the means and the medians; NaN where a resample holds no query of the sample.
    """
    generator = np.random.default_rng(list(seed))
    prepared = [_prepare(sample, images) for sample in samples]
    step = max(1, min(resamples, _CHUNK_BYTES // (8 * images)))
    found: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in samples]
    for first in range(0, resamples, step):
        size = min(step, resamples - first)
        counts = np.empty((size, images))
        count_draws(generator.integers(0, images, size=(size, images), dtype=np.int32), counts)
        for sums, ordered, out in zip((p[0] for p in prepared), (p[1] for p in prepared), found, strict=True):
            out.append(_resampled(counts, sums, ordered))
    return [(np.concatenate([m for m, _ in out]), np.concatenate([m for _, m in out])) for out in found]


def percentile_interval(draws: Float64[np.ndarray, " resamples"]) -> tuple[float, float]:
    """Range of the middle 95 % of the replicates; NaN where there are none."""
    known = draws[~np.isnan(draws)]
    if len(known) == 0:
        return float("nan"), float("nan")
    low, high = np.percentile(known, (2.5, 97.5))
    return float(low), float(high)


def _prepare(sample: Sample, images: int) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    values, rows = sample.values[sample.valid], sample.images[sample.valid]
    sums = np.empty((images, values.shape[1] + 1))
    for column in range(values.shape[1]):
        sums[:, column] = np.bincount(rows, weights=values[:, column], minlength=images)
    sums[:, -1] = np.bincount(rows, minlength=images)
    ordered = []
    for column in sample.medians:
        order = np.argsort(values[:, column], kind="stable")
        ordered.append((values[order, column], rows[order]))
    return sums, ordered


def _resampled(
    counts: np.ndarray, sums: np.ndarray, ordered: list[tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    totals = counts @ sums
    with np.errstate(invalid="ignore"):
        means = totals[:, :-1] / totals[:, -1:]
    medians = np.empty((len(counts), len(ordered)))
    for n, (values, rows) in enumerate(ordered):
        weighted_medians(values, rows, counts, totals[:, -1], medians[:, n])
    return means, medians
