"""Category values of one ranking of real scores, hit by hit: most hits are free of ties, and vector loops take them.

``fico.metrics.kernels.blocks`` has the same formulas for rankings that consist of tied blocks. A ranking is given by
the items ``above`` each hit with relevant items first in every tied block (the optimistic order), and by its mixed
blocks, those that hold relevant and non-relevant items.
"""

import numpy as np

from fico.metrics.kernels.blocks import HITS, LEVELS, MIN_K_R, ap_inside, copy_row, precision_sum
from fico.metrics.kernels.compiled import (
    ZERO,
    Blocks,
    Ints,
    Reals,
    Tables,
    reduction,
    subroutine,
)


@reduction
def _sum(values: Reals) -> float:
    total = 0.0
    for n in range(len(values)):
        total += values[n]
    return total


@subroutine
def _largest(bits: Ints, best: int) -> int:
    for n in range(len(bits)):
        best = max(best, bits[n])
    return best


@subroutine
def _values(
    above: Ints,
    all_relevant: int,
    cuts: Ints,
    denominator: int,
    discount: Reals,
    summed: Reals,
    curve: Reals,
    out: Reals,
) -> None:
    """AP at each cut from ``summed``, eleven precisions from ``curve``, nDCG@10: one value of each per hit."""
    n = len(cuts)
    for c in range(n - 1):
        total, hits = 0.0, 0
        while hits < all_relevant and above[hits] < cuts[c]:
            total += summed[hits]
            hits += 1
        found = hits if denominator == HITS else min(cuts[c], all_relevant) if denominator == MIN_K_R else all_relevant
        out[c] = total / found if found > 0 else 0.0
    out[n - 1] = _sum(summed[:all_relevant]) / all_relevant if all_relevant > 0 else 0.0
    best, behind = ZERO, all_relevant
    bits, best_bits = curve.view(np.int64), out.view(np.int64)  # floats from 0 up order as their bits, which is faster
    for level in range(LEVELS - 1, -1, -1):
        needed = max(int(level / 10.0 * all_relevant + 0.9) - 1, 0)  # trec_eval's cut, in double arithmetic
        best = _largest(bits[needed:behind], best)
        behind = min(behind, needed)
        best_bits[n + level] = best
    gain, hit = 0.0, 0
    while hit < all_relevant and above[hit] < 10:
        gain += discount[above[hit] + 1] - discount[above[hit]]
        hit += 1
    out[n + LEVELS] = gain / discount[min(all_relevant, 10)] if all_relevant > 0 else 0.0


@subroutine
def untied_values(
    above: Ints, all_relevant: int, cuts: Ints, denominator: int, tables: Tables, precisions: Reals, out: Reals
) -> None:
    """Values of a ranking without mixed blocks, where hit n has precision n / rank; leaves those in ``precisions``."""
    for hit in range(all_relevant):
        precisions[hit] = (hit + 1) / (above[hit] + 1)
    _values(above, all_relevant, cuts, denominator, tables[2], precisions, precisions, out)


@subroutine
def expected_values(
    above: Ints,
    all_relevant: int,
    mixed: Blocks,
    count: int,
    cuts: Ints,
    denominator: int,
    tables: Tables,
    summed: Reals,
    curve: Reals,
    out: Reals,
) -> None:
    """Means over all orders of the first ``count`` mixed blocks: items above, tied, relevant, and hits before each.

    ``summed`` holds the precisions of the optimistic order and is changed: each relevant item of a mixed block gets
    the block's mean precision. ``curve`` receives the precision where the mean number of hits, which rises evenly
    along a block, reaches each hit.
    """
    harmonic, log_factorial, discount = tables
    copy_row(summed, curve[:all_relevant])
    for b in range(count):
        a, t, r, h = mixed[0][b], mixed[1][b], mixed[2][b], mixed[3][b]
        mean_precision = precision_sum(a, h, t, r, t, harmonic) / r
        for i in range(r):
            summed[h + i] = mean_precision
            curve[h + i] = (h + i + 1) / (a + (i + 1) * t / r)
    _values(above, all_relevant, cuts, denominator, discount, summed, curve, out)
    n = len(cuts)
    gain = out[n + LEVELS] * discount[min(all_relevant, 10)]
    for b in range(count):
        a, t, r, h = mixed[0][b], mixed[1][b], mixed[2][b], mixed[3][b]
        for c in range(n - 1):
            if a < cuts[c] < a + t:
                total = 0.0
                for hit in range(h):
                    total += summed[hit]
                out[c] = ap_inside(total, a, h, t, r, cuts[c], all_relevant, denominator, harmonic, log_factorial)
        if a < 10:
            gain -= discount[min(a + r, 10)] - discount[a]
            gain += r / t * (discount[min(a + t, 10)] - discount[a])
    out[n + LEVELS] = gain / discount[min(all_relevant, 10)]


@subroutine
def pessimistic_values(
    above: Ints,
    all_relevant: int,
    mixed: Blocks,
    count: int,
    cuts: Ints,
    denominator: int,
    tables: Tables,
    precisions: Reals,
    out: Reals,
) -> None:
    """Values with relevant items last in the first ``count`` mixed blocks; ``above`` and ``precisions`` follow them."""
    for b in range(count):
        non_relevant, first = mixed[1][b] - mixed[2][b], mixed[3][b]
        for hit in range(first, first + mixed[2][b]):
            above[hit] += non_relevant
            precisions[hit] = (hit + 1) / (above[hit] + 1)
    _values(above, all_relevant, cuts, denominator, tables[2], precisions, precisions, out)


@subroutine
def _count_mixed_boundaries(keys: np.ndarray) -> int:
    """How often a relevant key follows a non-relevant one of the same score: the two differ in the lowest bit alone."""
    count = 0
    for j in range(len(keys) - 1):
        count += (keys[j] | 1 == keys[j + 1]) & (keys[j] != keys[j + 1])
    return count


@subroutine
def _hits_before(above: Ints, all_relevant: int, rank: int) -> int:
    """How many of the ascending ``above[:all_relevant]`` lie below ``rank``, by bisection."""
    low, high = 0, all_relevant
    while low < high:
        middle = (low + high) // 2
        if above[middle] < rank:
            low = middle + 1
        else:
            high = middle
    return low


@subroutine
def find_mixed(keys: np.ndarray, above: Ints, all_relevant: int, out: Blocks) -> int:
    """Mixed blocks of a row of ascending keys (relevance in the lowest bit), best first; returns their number."""
    items, count, position = len(keys), 0, len(keys) - 1
    if _count_mixed_boundaries(keys) == 0:
        return 0
    while position > 0:
        first = max(position - 128, 0)
        if _count_mixed_boundaries(keys[first : position + 1]) == 0:
            position = first
            continue
        while (keys[position - 1] | 1) != keys[position] or keys[position - 1] == keys[position]:
            position -= 1
        top, low, score = position, position - 1, keys[position] >> 1
        while top + 1 < items and keys[top + 1] >> 1 == score:
            top += 1
        while low > 0 and keys[low - 1] >> 1 == score:
            low -= 1
        out[0][count], out[1][count], out[2][count] = items - 1 - top, top - low + 1, top - position + 1
        out[3][count] = _hits_before(above, all_relevant, items - 1 - top)
        count += 1
        position = low
    return count
