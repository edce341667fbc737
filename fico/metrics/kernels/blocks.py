"""Closed formulas over tied blocks of one ranking.

A ranking is given by those of its tied blocks that hold relevant items, best first: ``above`` items scored higher,
``tied`` items in the block, ``relevant`` ones among them; ``all_relevant`` counts those of the query. Every metric here
is its exact mean over all orders of the tied items. A block without non-relevant items is free of ties, so
the optimistic order is the block ``(above, relevant, relevant)`` and the pessimistic one ``(above + tied - relevant,
relevant, relevant)``: one set of formulas serves every tie rule. The same formulas, written on tensors, are in
``fico.metrics``; the tests hold both against enumeration.
"""

import math
from functools import lru_cache

import numpy as np

from fico.metrics.kernels.compiled import ZERO, Ints, Rankings, Reals, Tables, kernel, subroutine

HITS, MIN_K_R, R = 0, 1, 2  # denominators of AP@K, as fico.metrics.specification.Denominator names them
EXPECTED, OPTIMISTIC, PESSIMISTIC = 0, 1, 2
DENOMINATORS = {"hits": HITS, "min_k_r": MIN_K_R, "r": R}
TIE_RULES = {"expected": EXPECTED, "optimistic": OPTIMISTIC, "pessimistic": PESSIMISTIC}
LEVELS = 11  # recall levels of the precision-recall curve


@subroutine
def copy_row(row: Reals, out: Reals) -> None:
    """Copies a row: an assignment of arrays compiles a second longer, for the texts of its errors."""
    for n in range(len(out)):
        out[n] = row[n]


@subroutine
def reorder(above: Ints, tied: Ints, relevant: Ints, groups: int, rule: int, out_above: Ints, out_tied: Ints) -> bool:
    """Blocks as the rule orders them; returns whether any block mixes relevant and non-relevant items."""
    mixed = False
    for g in range(groups):
        non_relevant = tied[g] - relevant[g]
        mixed |= non_relevant > 0
        out_above[g] = above[g] + (non_relevant if rule == PESSIMISTIC else 0)
        out_tied[g] = tied[g] if rule == EXPECTED else relevant[g]
    return mixed


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


@subroutine
def interpolated_precisions(
    above: Ints, tied: Ints, relevant: Ints, groups: int, all_relevant: int, out: Reals
) -> None:
    """Highest precision at or beyond each recall level 0, .1, ..., 1 of one query, into ``out``.

    Along a tied block the mean number of hits rises evenly, so precision is monotone inside it: the maximum is
    where the level is reached or at the end of a later block.
    """
    best, hits, level = 0.0, all_relevant, LEVELS - 1
    for g in range(groups - 1, -1, -1):
        a, t, r = above[g], tied[g], relevant[g]
        best = max(best, hits / (a + t))
        hits -= r
        while level > 0:
            needed = int(level / 10.0 * all_relevant + 0.9)  # trec_eval's cut, in double arithmetic
            if needed <= hits:
                break
            out[level] = max(best, needed / (a + (needed - hits) * t / r))
            level -= 1
    for rest in range(level, -1, -1):
        out[rest] = best


@subroutine
def discounted_gain(
    above: Ints, tied: Ints, relevant: Ints, groups: int, all_relevant: int, k: int, discount: Reals
) -> float:
    """NDCG at k of one query with gains 0 and 1; ``discount[n]`` sums 1/log2(1 + rank) over the first n ranks."""
    gain = 0.0
    for g in range(groups):
        if above[g] >= k:
            break
        gain += relevant[g] / tied[g] * (discount[min(above[g] + tied[g], k)] - discount[above[g]])
    return gain / discount[min(all_relevant, k)] if all_relevant > 0 else 0.0


@subroutine
def _none_found(non_relevant: int, relevant: int, positions: int) -> float:
    """Chance that none of ``relevant`` items lies in the first ``positions`` of a block: C(w, m) / C(w + r, m)."""
    chance = 1.0
    for i in range(1, relevant + 1):
        chance *= max(non_relevant - positions + i, 0) / (non_relevant + i)
    return chance


@subroutine
def recalls(
    above: Ints, tied: Ints, relevant: Ints, groups: int, all_relevant: int, cuts: Ints, fraction: bool, out: Reals
) -> None:
    """R@K of one query at each cut: any relevant item found, or the fraction of the relevant items found."""
    for c in range(len(cuts)):
        found = 0.0
        for g in range(groups if fraction else 1):
            positions = min(max(cuts[c] - above[g], 0), tied[g])
            if fraction:
                found += relevant[g] * positions / tied[g] / all_relevant
            elif positions > 0:
                found = 1.0 - _none_found(tied[g] - relevant[g], relevant[g], positions)
        out[c] = found


@subroutine
def reciprocal_rank(above: int, tied: int, relevant: int, harmonic: Reals) -> float:
    """Mean of 1 / rank of the first relevant item, which is at position j of its block with C(t-j, r-1) / C(t, r)."""
    if relevant == 1:
        return (harmonic[above + tied] - harmonic[above]) / tied if tied > 1 else 1.0 / (above + 1.0)
    mean, chance = 0.0, relevant / tied
    for j in range(1, tied - relevant + 2):
        mean += chance / (above + j)
        if chance < 1e-18:
            break
        chance *= (tied - j - relevant + 1.0) / (tied - j)
    return mean


@subroutine
def at_all_relevant(
    above: Ints, tied: Ints, relevant: Ints, groups: int, all_relevant: int, harmonic: Reals
) -> tuple[float, float]:
    """AP@R and R-Precision of one query: its cut-off is the number R of its relevant items, and AP is divided by it."""
    total, found, hits = 0.0, 0.0, ZERO
    for g in range(groups):
        positions = min(all_relevant - above[g], tied[g])
        if positions <= 0:
            break
        total += precision_sum(above[g], hits, tied[g], relevant[g], positions, harmonic)
        found += relevant[g] * positions / tied[g]
        hits += relevant[g]
    return total / all_relevant, found / all_relevant


@subroutine
def instance_values(
    above: Ints,
    tied: Ints,
    relevant: Ints,
    groups: int,
    all_relevant: int,
    cuts: Ints,
    fraction: bool,
    tables: Tables,
    out: Reals,
) -> None:
    """R@K at each cut, rank of the first relevant item, 1 / rank, nDCG@10, AP@R, R-Precision: one row of values."""
    n = len(cuts)
    recalls(above, tied, relevant, groups, all_relevant, cuts, fraction, out[:n])
    out[n] = 1 + above[0] + (tied[0] - relevant[0]) / (relevant[0] + 1.0)
    out[n + 1] = reciprocal_rank(above[0], tied[0], relevant[0], tables[0])
    out[n + 2] = discounted_gain(above, tied, relevant, groups, all_relevant, 10, tables[2])
    out[n + 3], out[n + 4] = at_all_relevant(above, tied, relevant, groups, all_relevant, tables[0])


@subroutine
def category_values(
    above: Ints,
    tied: Ints,
    relevant: Ints,
    groups: int,
    all_relevant: int,
    cuts: Ints,
    denominator: int,
    tables: Tables,
    out: Reals,
) -> None:
    """AP at each cut, the eleven interpolated precisions, nDCG@10: one row of category values."""
    n = len(cuts)
    harmonic, log_factorial, discount = tables
    average_precisions(above, tied, relevant, groups, all_relevant, cuts, denominator, harmonic, log_factorial, out[:n])
    interpolated_precisions(above, tied, relevant, groups, all_relevant, out[n : n + LEVELS])
    out[n + LEVELS] = discounted_gain(above, tied, relevant, groups, all_relevant, 10, discount)


@kernel
def instance_rankings(rankings: Rankings, cuts: Ints, fraction: bool, tables: Tables, out: Reals) -> None:
    """`instance_values` of rankings whose blocks hold all relevant items of their query, ``rankings columns``."""
    start, above, tied, relevant = rankings
    for q in range(len(out)):
        blocks = slice(start[q], start[q + 1])
        count = relevant[blocks].sum()
        groups = start[q + 1] - start[q]
        instance_values(above[blocks], tied[blocks], relevant[blocks], groups, count, cuts, fraction, tables, out[q])


@kernel
def category_rankings(rankings: Rankings, cuts: Ints, denominator: int, tables: Tables, out: Reals) -> None:
    """`category_values` of the same."""
    start, above, tied, relevant = rankings
    for q in range(len(out)):
        blocks = slice(start[q], start[q + 1])
        count = relevant[blocks].sum()
        groups = start[q + 1] - start[q]
        category_values(above[blocks], tied[blocks], relevant[blocks], groups, count, cuts, denominator, tables, out[q])


@lru_cache(maxsize=4)
def tables(items: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Harmonic numbers, logarithms of factorials and summed discounts up to ``items`` (at least 10)."""
    counts = np.arange(1, max(items, 10) + 1, dtype=np.float64)
    return (
        np.concatenate([[0.0], np.cumsum(1 / counts)]),
        np.concatenate([[0.0], np.cumsum(np.log(counts))]),
        np.concatenate([[0.0], np.cumsum(1 / np.log2(counts + 1))]),
    )
