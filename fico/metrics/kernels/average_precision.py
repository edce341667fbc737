"""Average precision at a cut-off of a ranking with ties: its exact mean over all orders, in closed form."""

import math

from fico.metrics.kernels.compiled import ZERO, Ints, Reals, subroutine

HITS, MIN_K_R, R = 0, 1, 2  # denominators of AP@K, as fico.metrics.specification.Denominator names them
DENOMINATORS = {"hits": HITS, "min_k_r": MIN_K_R, "r": R}


@subroutine
def precision_sum(above: int, hits: int, tied: int, relevant: int, positions: int, harmonic: Reals) -> float:
    """Mean sum of the precisions at the relevant items among the first ``positions`` of a block, after ``hits`` hits.

    Position i holds a relevant item with probability r/t, and then (i-1)(r-1)/(t-1) of those before it do on average:
    sum_i (r/t)(h+1+(i-1)q)/(a+i) with q = (r-1)/(t-1), which the harmonic numbers close.
    """
    if tied == 1:
        return (hits + 1.0) / (above + 1.0) if positions == 1 else 0.0
    inverse = harmonic[above + positions] - harmonic[above]
    if tied == relevant:
        return float((hits - above) * inverse + positions)
    density, step = relevant / tied, (relevant - 1.0) / (tied - 1.0)
    return float(density * ((hits + 1.0 - step * (above + 1.0)) * inverse + step * positions))


@subroutine
def _over_found(
    total: float, above: int, hits: int, tied: int, relevant: int, positions: int, harmonic: Reals, log_factorial: Reals
) -> float:
    """Mean of (sum of precisions / relevant items found) when the cut-off leaves ``positions`` of a tied block.

    The number x of relevant items found there is hypergeometric; given x they lie evenly over the positions. The
    probabilities run from their mode outwards, each from the one before it.
    """
    low, high = max(0, positions - (tied - relevant)), min(positions, relevant)
    mode = min(max((positions + 1) * (relevant + 1) // (tied + 2), low), high)
    non_relevant = tied - relevant
    log_mode = (
        log_factorial[relevant] - log_factorial[mode] - log_factorial[relevant - mode]
        + log_factorial[non_relevant] - log_factorial[positions - mode] - log_factorial[non_relevant - positions + mode]
        - log_factorial[tied] + log_factorial[positions] + log_factorial[tied - positions]
    )  # fmt: skip
    # `precision_sum` with x relevant items in a block of exactly these positions, as a polynomial in x
    inverse = harmonic[above + positions] - harmonic[above]
    linear = (hits + 1.0) * inverse / positions
    square = (positions - (above + 1.0) * inverse) / (positions * (positions - 1.0)) if positions > 1 else 0.0
    mean = 0.0
    for direction in (1, -1):
        probability, x = math.exp(log_mode), mode
        while True:
            if (direction == 1 or x < mode) and hits + x > 0:
                mean += probability * (total + x * (linear + (x - 1.0) * square)) / (hits + x)
            if x == (high if direction == 1 else low) or probability < 1e-18:
                break
            if direction == 1:
                probability *= (relevant - x) * (positions - x) / ((x + 1.0) * (non_relevant - positions + x + 1.0))
            else:
                probability *= x * (non_relevant - positions + x) / ((relevant - x + 1.0) * (positions - x + 1.0))
            x += direction
    return mean


@subroutine
def ap_inside(
    total: float,
    above: int,
    hits: int,
    tied: int,
    relevant: int,
    cut: int,
    all_relevant: int,
    denominator: int,
    harmonic: Reals,
    log_factorial: Reals,
) -> float:
    """AP at a cut-off that lies before the end of the block (above, tied, relevant)."""
    positions = max(cut - above, 0)
    if denominator == HITS:
        if positions == 0:
            return total / hits if hits > 0 else 0.0
        if relevant == tied:
            return (total + precision_sum(above, hits, tied, relevant, positions, harmonic)) / (hits + positions)
        return _over_found(total, above, hits, tied, relevant, positions, harmonic, log_factorial)
    if positions > 0:
        total += precision_sum(above, hits, tied, relevant, positions, harmonic)
    return total / (min(cut, all_relevant) if denominator == MIN_K_R else all_relevant)


@subroutine
def average_precisions(
    above: Ints,
    tied: Ints,
    relevant: Ints,
    groups: int,
    all_relevant: int,
    cuts: Ints,
    denominator: int,
    harmonic: Reals,
    log_factorial: Reals,
    out: Reals,
) -> None:
    """AP at each of the ascending ``cuts`` of one query, into ``out``."""
    total, hits, c = 0.0, ZERO, 0
    for g in range(groups):
        a, t, r = above[g], tied[g], relevant[g]
        while c < len(cuts) and cuts[c] < a + t:
            out[c] = ap_inside(total, a, hits, t, r, cuts[c], all_relevant, denominator, harmonic, log_factorial)
            c += 1
        total += precision_sum(a, hits, t, r, t, harmonic)
        hits += r
    for rest in range(c, len(cuts)):  # every relevant item ranks before these cut-offs
        out[rest] = total / all_relevant if all_relevant > 0 else 0.0
