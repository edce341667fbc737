"""Bootstrap over images: all queries of one image are drawn together, because their scores depend on each other."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int32, Int64

from fico.metrics.kernels.resampling import weighted_medians
from fico.util.threads import one_blas_thread

RESAMPLING_BYTES = 8 * 2**20  # counts of drawn images at a time, in all pieces
PIECES = 8  # of the resamples, so that threads can share them


@dataclass(frozen=True, slots=True, eq=False)
class ClusteredValues:
    """Per-query values of one direction and task, clustered by image.

    Args:
        values: ``queries columns``.
        valid: Queries that enter the means.
        images: Image row of each query.
        medians: Columns of which the median is computed too.
    """

    values: Float64[np.ndarray, "queries columns"]
    valid: Bool[np.ndarray, " queries"]
    images: Int64[np.ndarray, " queries"]
    medians: tuple[int, ...] = ()


def replicates(
    samples: Sequence[ClusteredValues], images: int, resamples: int, seed: Sequence[int]
) -> list[tuple[Float64[np.ndarray, "resamples columns"], Float64[np.ndarray, "resamples medians"]]]:
    """Means and medians of every sample in every bootstrap resample of the images.

    Args:
        samples: All are resampled by the same draws, so that their replicates are paired.
        images: Number of images to draw from, as many as are drawn.
        resamples: Number of resamples.
        seed: Seed of the draws.

    Returns:
        Per sample the means and the medians; NaN where a resample holds no query of the sample.
    """
    ordered = [[_ordered(sample, column) for column in sample.medians] for sample in samples]
    sums = np.concatenate([_sums(s, o, images) for s, o in zip(samples, ordered, strict=True)])
    means = [np.empty((resamples, sample.values.shape[1])) for sample in samples]
    medians = [np.empty((resamples, len(sample.medians))) for sample in samples]
    step = max(1, min(resamples // PIECES, RESAMPLING_BYTES // (8 * PIECES * images)))

    def work(first: int, resampled: Callable[[], Float64[np.ndarray, "resamples images"]]) -> None:
        counts = resampled()
        totals = counts @ sums.T
        rows, column = slice(first, first + len(counts)), 0
        for n, sample in enumerate(samples):
            width = sample.values.shape[1]
            mine = totals[:, column : column + width + 1 + len(sample.medians)]
            column += mine.shape[1]
            with np.errstate(invalid="ignore"):
                np.divide(mine[:, :width], mine[:, width, None], out=means[n][rows])
            for m, (values, member) in enumerate(ordered[n]):
                before, middle = mine[:, width + 1 + m], len(values) // 2
                weighted_medians(values, member, counts, mine[:, width], middle, before, medians[n][rows, m])

    with one_blas_thread(), ThreadPoolExecutor(torch.get_num_threads()) as pool:
        waiting: deque[Future[None]] = deque()
        for n, resampled in enumerate(_resampled(images, resamples, tuple(seed), step)):
            waiting.append(pool.submit(work, n * step, resampled))
            if len(waiting) > PIECES:
                waiting.popleft().result()
        for piece in waiting:
            piece.result()
    return list(zip(means, medians, strict=True))


def _resampled(
    images: int, resamples: int, seed: tuple[int, ...], step: int
) -> Iterator[Callable[[], Float64[np.ndarray, "resamples images"]]]:
    """How often each image was drawn, by ``step`` resamples at a time; few enough are kept for the next call."""
    if not 0 < 8 * resamples * images <= RESAMPLING_BYTES:
        yield from (partial(_counted, draws) for draws in _draws(images, resamples, seed, step))
        return
    kept = _kept_counts(images, resamples, seed, step)
    for first in range(0, resamples, step):
        yield partial(kept.__getitem__, slice(first, first + step))


@lru_cache(maxsize=1)
def _kept_counts(
    images: int, resamples: int, seed: tuple[int, ...], step: int
) -> Float64[np.ndarray, "resamples images"]:
    return np.concatenate([_counted(draws) for draws in _draws(images, resamples, seed, step)])


def _draws(
    images: int, resamples: int, seed: tuple[int, ...], step: int
) -> Iterator[Int32[np.ndarray, "resamples images"]]:
    generator = np.random.default_rng(seed)
    for first in range(0, resamples, step):
        yield generator.integers(0, images, size=(min(step, resamples - first), images), dtype=np.int32)


def _counted(draws: Int32[np.ndarray, "resamples images"]) -> Float64[np.ndarray, "resamples images"]:
    cells = draws + draws.shape[1] * np.arange(len(draws))[:, None]
    return np.bincount(cells.ravel(), minlength=cells.size).reshape(draws.shape).astype(np.float64)


def percentile_intervals(
    draws: Float64[np.ndarray, "resamples metrics"],
) -> Float64[np.ndarray, "metrics 2"]:
    """Range of the middle 95 % of the replicates of each metric; resamples without a value are left out."""
    ordered = np.sort(np.ascontiguousarray(draws.T), axis=1)  # NaN sorts last
    known = np.maximum((~np.isnan(ordered)).sum(axis=1), 1)
    positions = np.array([0.025, 0.975]) * (known[:, None] - 1)
    below = np.floor(positions).astype(np.int64)
    low, high = (np.take_along_axis(ordered, np.minimum(n, known[:, None] - 1), axis=1) for n in (below, below + 1))
    return np.asarray(low + (positions - below) * (high - low))


def _sums(
    sample: ClusteredValues, ordered: list[tuple[np.ndarray, np.ndarray]], images: int
) -> Float64[np.ndarray, "columns images"]:
    """Per image the sums of its queries' values, their number, and how many lie in the lower half of a median's."""
    values, rows = sample.values[sample.valid], sample.images[sample.valid]
    columns = [np.bincount(rows, weights=column, minlength=images) for column in values.T]
    columns.append(np.bincount(rows, minlength=images))
    columns += [np.bincount(member[: len(member) // 2], minlength=images) for _, member in ordered]
    return np.stack(columns).astype(np.float64)


def _ordered(sample: ClusteredValues, column: int) -> tuple[Float64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """Ascending values of one column and the image of each."""
    values = sample.values[sample.valid, column]
    order = np.argsort(values, kind="stable")
    return values[order], sample.images[sample.valid][order]
