"""Closed formulas over tied blocks of one ranking.

A ranking is given by those of its tied blocks that hold relevant items, best first: ``above`` items scored higher,
``tied`` items in the block, ``right`` relevant ones among them. Every metric here is its exact mean over all orders of
the tied items. A block without wrong items is free of ties, so the optimistic order is the block ``(above, right,
right)`` and the pessimistic one ``(above + tied - right, right, right)``: one set of formulas serves every rule.
The same formulas, written on tensors, stand in ``fico.metrics``; the tests hold both against enumeration.
"""

import math
from functools import lru_cache

import numpy as np

from fico.metrics.kernels.compiled import Ints, Reals, Tables, kernel

HITS, MIN_K_R, R = 0, 1, 2  # denominators of AP@K, in the order of fico.metrics.average_precision.Denominator
EXPECTED, OPTIMISTIC, PESSIMISTIC = 0, 1, 2
LEVELS = 11  # recall levels of the precision-recall curve


@kernel
def reorder(above: Ints, tied: Ints, right: Ints, groups: int, rule: int, out_above: Ints, out_tied: Ints) -> bool:
    """Blocks as the rule orders them; returns whether any block mixes right and wrong items."""
    mixed = False
    for g in range(groups):
        wrong = tied[g] - right[g]
        mixed |= wrong > 0
        out_above[g] = above[g] + (wrong if rule == PESSIMISTIC else 0)
        out_tied[g] = tied[g] if rule == EXPECTED else right[g]
    return mixed


@kernel
def first_places(above: int, hits: int, tied: int, right: int, places: int, harmonic: Reals) -> float:
    """Mean sum of precisions at the right items among the first ``places`` of a block, ``hits`` right items before it.

    Place i holds a right item with probability r/t, and then (i-1)(r-1)/(t-1) of the places before it do on average:
    sum_i (r/t)(h+1+(i-1)q)/(a+i) with q = (r-1)/(t-1), which the harmonic numbers close.
    """
    if tied == 1:
        return (hits + 1.0) / (above + 1.0) if places == 1 else 0.0
    inverse = harmonic[above + places] - harmonic[above]
    if tied == right:
        return float((hits - above) * inverse + places)
    share, step = right / tied, (right - 1.0) / (tied - 1.0)
    return float(share * ((hits + 1.0 - step * (above + 1.0)) * inverse + step * places))


@kernel
def _over_found(
    total: float, above: int, hits: int, tied: int, right: int, places: int, harmonic: Reals, log_factorial: Reals
) -> float:
    """Mean of (sum of precisions / right items found) when the cut leaves ``places`` of a tied block.

    The number x of right items found there is hypergeometric; given x they lie evenly over the places. The
    probabilities run from their mode outwards, each from the one before it.
    """
    low, high = max(0, places - (tied - right)), min(places, right)
    mode = min(max((places + 1) * (right + 1) // (tied + 2), low), high)
    wrong = tied - right
    log_mode = (
        log_factorial[right] - log_factorial[mode] - log_factorial[right - mode]
        + log_factorial[wrong] - log_factorial[places - mode] - log_factorial[wrong - places + mode]
        - log_factorial[tied] + log_factorial[places] + log_factorial[tied - places]
    )  # fmt: skip
    # `first_places` with x right items in a block of just these places, as a polynomial in x
    inverse = harmonic[above + places] - harmonic[above]
    linear = (hits + 1.0) * inverse / places
    square = (places - (above + 1.0) * inverse) / (places * (places - 1.0)) if places > 1 else 0.0
    mean = 0.0
    for direction in (1, -1):
        probability, x = math.exp(log_mode), mode
        while True:
            if (direction == 1 or x < mode) and hits + x > 0:
                mean += probability * (total + x * (linear + (x - 1.0) * square)) / (hits + x)
            if x == (high if direction == 1 else low) or probability < 1e-18:
                break
            if direction == 1:
                probability *= (right - x) * (places - x) / ((x + 1.0) * (wrong - places + x + 1.0))
            else:
                probability *= x * (wrong - places + x) / ((right - x + 1.0) * (places - x + 1.0))
            x += direction
    return mean


@kernel
def ap_inside(
    total: float,
    above: int,
    hits: int,
    tied: int,
    right: int,
    cut: int,
    relevant: int,
    denominator: int,
    harmonic: Reals,
    log_factorial: Reals,
) -> float:
    """AP at a cut that lies before the end of the block (above, tied, right)."""
    places = max(cut - above, 0)
    if denominator == HITS:
        if places == 0:
            return total / hits if hits > 0 else 0.0
        if right == tied:
            return (total + first_places(above, hits, tied, right, places, harmonic)) / (hits + places)
        return _over_found(total, above, hits, tied, right, places, harmonic, log_factorial)
    if places > 0:
        total += first_places(above, hits, tied, right, places, harmonic)
    return total / (min(cut, relevant) if denominator == MIN_K_R else relevant)


@kernel
def average_precisions(
    above: Ints,
    tied: Ints,
    right: Ints,
    groups: int,
    relevant: int,
    cuts: Ints,
    denominator: int,
    harmonic: Reals,
    log_factorial: Reals,
    out: Reals,
) -> None:
    """AP at each of the ascending ``cuts`` of one query, into ``out``."""
    total, hits, c = 0.0, 0, 0
    for g in range(groups):
        a, t, r = above[g], tied[g], right[g]
        while c < len(cuts) and cuts[c] < a + t:
            out[c] = ap_inside(total, a, hits, t, r, cuts[c], relevant, denominator, harmonic, log_factorial)
            c += 1
        total += first_places(a, hits, t, r, t, harmonic)
        hits += r
    for rest in range(c, len(cuts)):  # every relevant item stands before these cuts
        out[rest] = total / relevant if relevant > 0 else 0.0


@kernel
def interpolated_precisions(above: Ints, tied: Ints, right: Ints, groups: int, relevant: int, out: Reals) -> None:
    """Highest precision at and behind each recall level 0, .1, ..., 1 of one query, into ``out``.

    Along a tied block the mean number of hits rises evenly, so precision is monotone inside it: the maximum lies
    where the level is reached or at the end of a later block.
    """
    best, hits, level = 0.0, relevant, LEVELS - 1
    for g in range(groups - 1, -1, -1):
        a, t, r = above[g], tied[g], right[g]
        best = max(best, hits / (a + t))
        hits -= r
        while level > 0:
            needed = int(level / 10.0 * relevant + 0.9)  # trec_eval's cut, in double arithmetic
            if needed <= hits:
                break
            out[level] = max(best, needed / (a + (needed - hits) * t / r))
            level -= 1
    for rest in range(level, -1, -1):
        out[rest] = best


@kernel
def discounted_gain(above: Ints, tied: Ints, right: Ints, groups: int, relevant: int, k: int, discount: Reals) -> float:
    """NDCG at k of one query with gains 0 and 1; ``discount[n]`` sums 1/log2(1 + rank) over the first n ranks."""
    gain = 0.0
    for g in range(groups):
        if above[g] >= k:
            break
        gain += right[g] / tied[g] * (discount[min(above[g] + tied[g], k)] - discount[above[g]])
    return gain / discount[min(relevant, k)] if relevant > 0 else 0.0


@kernel
def _none_found(wrong: int, right: int, places: int) -> float:
    """Chance that none of ``right`` items lies in the first ``places`` of a block: C(w, m) / C(w + r, m)."""
    chance = 1.0
    for i in range(1, right + 1):
        chance *= max(wrong - places + i, 0) / (wrong + i)
    return chance


@kernel
def recalls(
    above: Ints, tied: Ints, right: Ints, groups: int, relevant: int, cuts: Ints, fraction: bool, out: Reals
) -> None:
    """R@K of one query at each cut: any right item found, or the fraction of the right items found."""
    for c in range(len(cuts)):
        found = 0.0
        for g in range(groups if fraction else 1):
            places = min(max(cuts[c] - above[g], 0), tied[g])
            if fraction:
                found += right[g] * places / tied[g] / relevant
            elif places > 0:
                found = 1.0 - _none_found(tied[g] - right[g], right[g], places)
        out[c] = found


@kernel
def reciprocal_rank(above: int, tied: int, right: int, harmonic: Reals) -> float:
    """Mean of 1 / rank of the first right item, which lies at place j of its block with C(t-j, r-1) / C(t, r)."""
    if right == 1:
        return (harmonic[above + tied] - harmonic[above]) / tied if tied > 1 else 1.0 / (above + 1.0)
    mean, chance = 0.0, right / tied
    for j in range(1, tied - right + 2):
        mean += chance / (above + j)
        if chance < 1e-18:
            break
        chance *= (tied - j - right + 1.0) / (tied - j)
    return mean


@kernel
def instance_values(
    above: Ints,
    tied: Ints,
    right: Ints,
    groups: int,
    relevant: int,
    cuts: Ints,
    fraction: bool,
    tables: Tables,
    out: Reals,
) -> None:
    """R@K at each cut, rank of the first right item, 1 / rank, nDCG@10: one row of instance values."""
    n = len(cuts)
    recalls(above, tied, right, groups, relevant, cuts, fraction, out[:n])
    out[n] = 1 + above[0] + (tied[0] - right[0]) / (right[0] + 1.0)
    out[n + 1] = reciprocal_rank(above[0], tied[0], right[0], tables[0])
    out[n + 2] = discounted_gain(above, tied, right, groups, relevant, 10, tables[2])


@kernel
def category_values(
    above: Ints,
    tied: Ints,
    right: Ints,
    groups: int,
    relevant: int,
    cuts: Ints,
    denominator: int,
    tables: Tables,
    out: Reals,
) -> None:
    """AP at each cut, the eleven interpolated precisions, nDCG@10: one row of category values."""
    n = len(cuts)
    harmonic, log_factorial, discount = tables
    average_precisions(above, tied, right, groups, relevant, cuts, denominator, harmonic, log_factorial, out[:n])
    interpolated_precisions(above, tied, right, groups, relevant, out[n : n + LEVELS])
    out[n + LEVELS] = discounted_gain(above, tied, right, groups, relevant, 10, discount)


@lru_cache(maxsize=4)
def tables(items: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Harmonic numbers, logarithms of factorials and summed discounts up to ``items`` (at least 10)."""
    counts = np.arange(1, max(items, 10) + 1, dtype=np.float64)
    return (
        np.concatenate([[0.0], np.cumsum(1 / counts)]),
        np.concatenate([[0.0], np.cumsum(np.log(counts))]),
        np.concatenate([[0.0], np.cumsum(1 / np.log2(counts + 1))]),
    )


@kernel
def chance_rows(
    right: Ints,
    items: int,
    task: int,
    recall_cuts: Ints,
    fraction: bool,
    cuts: Ints,
    denominator: int,
    tables: Tables,
    out: Reals,
) -> None:
    """Values of a query with ``right`` relevant items whose gallery is one tied block: the level of chance."""
    above, tied, hits = np.zeros(1, np.int64), np.full(1, items), np.zeros(1, np.int64)
    for n in range(len(right)):
        hits[0] = right[n]
        if right[n] == 0:
            out[n] = 0.0
        elif task == 0:
            instance_values(above, tied, hits, 1, right[n], recall_cuts, fraction, tables, out[n])
        else:
            category_values(above, tied, hits, 1, right[n], cuts, denominator, tables, out[n])
