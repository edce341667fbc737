"""Paired tests between two runs on the same queries."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64
from scipy import stats

from fico.errors import DataError

_EXACT_QUERIES = 16  # up to here all 2^n sign patterns are counted


@dataclass(frozen=True, slots=True)
class PairedTest:
    """Outcome of a two-sided paired test.

    Args:
        difference: Mean of the first run minus the second, in the unit of the metric.
        statistic: Student's t, or the difference itself under sign flips.
        p: Chance of a difference at least as large if the runs were alike.
    """

    difference: float
    statistic: float
    p: float


def paired_t_test(
    first: Float[np.ndarray, "..."],
    second: Float[np.ndarray, "..."],
    clusters: Int64[np.ndarray, "..."] | None = None,
) -> PairedTest:
    """Student's t-test of the differences per query; two-sided.

    Args:
        first: Values of one run, per query.
        second: Values of the other on the same queries, in the same order. Queries that are NaN in both are left out.
        clusters: Image of each query: differences are first averaged over the queries of an image, because captions of
            one image are not independent. None takes every query alone.

    Raises:
        DataError: Different lengths, a value missing in one run only, or fewer than two differences.
    """
    differences = _differences(first, second, clusters)
    if not differences.any():
        return PairedTest(0.0, 0.0, 1.0)
    outcome = stats.ttest_1samp(differences, 0.0)
    return PairedTest(float(differences.mean()), float(outcome.statistic), float(outcome.pvalue))


def sign_flip_test(
    first: Float[np.ndarray, "..."],
    second: Float[np.ndarray, "..."],
    clusters: Int64[np.ndarray, "..."] | None = None,
    *,
    resamples: int = 10_000,
    seed: int = 0,
) -> PairedTest:
    """Permutation test that flips the sign of each difference: exact up to 16 differences, else by resampling.

    Args:
        first: As in ``paired_t_test``.
        second: As in ``paired_t_test``.
        clusters: As in ``paired_t_test``; an image's differences flip together.
        resamples: Random sign patterns; the observed one is counted with them, so that p is never 0.
        seed: Seed of the patterns.

    Raises:
        DataError: As ``paired_t_test``.
    """
    differences = _differences(first, second, clusters)
    n, observed = len(differences), abs(differences.sum())
    if n <= _EXACT_QUERIES:
        signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        sums = signs @ differences
        extra = 0
    else:
        generator = np.random.default_rng(seed)
        sums = np.concatenate([_random_sums(generator, differences, piece) for piece in _pieces(resamples, n)])
        extra = 1
    reached = int((np.abs(sums) >= observed * (1 - 1e-12)).sum())
    mean = float(differences.mean())
    return PairedTest(mean, mean, (reached + extra) / (len(sums) + extra))


def _pieces(resamples: int, n: int) -> list[int]:
    step = max(1, min(resamples, 2**22 // n))
    return [min(step, resamples - start) for start in range(0, resamples, step)]


def _random_sums(generator: np.random.Generator, differences: np.ndarray, size: int) -> np.ndarray:
    """Sums under random signs: the total less twice what was flipped."""
    n = len(differences)
    bits = np.frombuffer(generator.bytes(size * (-(-n // 8))), dtype=np.uint8).reshape(size, -1)
    flipped = np.unpackbits(bits, axis=1)[:, :n].astype(np.float32) @ differences.astype(np.float32)
    return np.asarray(differences.sum() - 2 * flipped.astype(np.float64))


def _differences(first: np.ndarray, second: np.ndarray, clusters: np.ndarray | None) -> np.ndarray:
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise DataError(f"the runs have {first.shape} and {second.shape} values; both need the same queries in order")
    missing = np.isnan(first)
    if (missing != np.isnan(second)).any():
        query = int(np.flatnonzero(missing != np.isnan(second))[0])
        raise DataError(f"query {query} has a value in one run only; both need the same queries in order")
    differences = (first - second)[~missing]
    if clusters is not None:
        _, member = np.unique(np.asarray(clusters)[~missing], return_inverse=True)
        differences = np.bincount(member, weights=differences) / np.bincount(member)
    if len(differences) < 2:
        raise DataError(f"{len(differences)} differences are too few for a paired test; it needs at least 2")
    return np.asarray(differences)
