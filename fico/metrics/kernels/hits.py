"""Category values of rankings of real scores, hit by hit: most hits are free of ties, and vector loops take them.

``fico.metrics.kernels.blocks`` has the same formulas for rankings that consist of tied blocks. A ranking is given by
the items ``above`` each hit with relevant items first in every tied block (the optimistic order), and by its mixed
blocks, those that hold relevant and non-relevant items.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fico.metrics.kernels.average_precision import HITS, MIN_K_R, ap_inside, precision_sum
from fico.metrics.kernels.blocks import LEVELS
from fico.metrics.kernels.compiled import Ints, Reals, kernel, reduction, subroutine
from fico.metrics.kernels.orders import EXPECTED, OPTIMISTIC, PESSIMISTIC


@reduction
def _sum(values: Reals, count: int) -> float:
    total = 0.0
    for n in range(count):
        total += values[n]
    return total


@reduction
def _largest(values: Reals, first: int, last: int, best: float) -> float:
    for n in range(first, last):
        best = max(best, values[n])
    return best


@subroutine
def _items_above(keys: NDArray[Any], above: Ints) -> None:
    """Items above each relevant one, from ascending keys."""
    items, found = len(keys), 0
    for position in range(items):
        above[found] = position
        found += keys[items - 1 - position] & 1


@subroutine
def _is_mixed(keys: NDArray[Any]) -> bool:
    """Whether a relevant key follows a non-relevant one of the same score: the two differ in the lowest bit alone."""
    count = 0
    for j in range(len(keys) - 1):
        count += (keys[j] | 1 == keys[j + 1]) & (keys[j] != keys[j + 1])
    return count > 0


@subroutine
def _find_mixed(keys: NDArray[Any], above: Ints, all_relevant: int, mixed: NDArray[np.int64]) -> int:
    """Mixed blocks of a row of ascending keys, best first: items above, tied, relevant, hits before; their number."""
    top, count, first = len(keys) - 1, 0, 0
    for hit in range(all_relevant):
        key = keys[top - above[hit]]
        if key != keys[top - above[first]]:
            first = hit
        low = top - above[hit] - 1
        if low < 0 or keys[low] != key - 1:
            continue
        while low > 0 and keys[low - 1] == keys[low]:
            low -= 1
        mixed[0, count], mixed[1, count] = above[first], top - above[first] - low + 1
        mixed[2, count], mixed[3, count] = hit - first + 1, first
        count += 1
    return count


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
    out[n - 1] = _sum(summed, all_relevant) / all_relevant if all_relevant > 0 else 0.0
    best, behind = 0.0, all_relevant
    for level in range(LEVELS - 1, -1, -1):
        needed = max(int(level / 10.0 * all_relevant + 0.9) - 1, 0)  # trec_eval's cut, in double arithmetic
        best = _largest(curve, needed, behind, best)
        behind = min(behind, needed)
        out[n + level] = best
    gain, hit = 0.0, 0
    while hit < all_relevant and above[hit] < 10:
        gain += discount[above[hit] + 1] - discount[above[hit]]
        hit += 1
    out[n + LEVELS] = gain / discount[min(all_relevant, 10)] if all_relevant > 0 else 0.0


@subroutine
def _precisions(
    order: int, above: Ints, all_relevant: int, mixed: NDArray[np.int64], count: int, harmonic: Reals, summed: Reals,
    curve: Reals,
) -> None:  # fmt: skip
    """Precision at each hit: from the optimistic order to the expected one, and from there to the pessimistic one.

    In the expected order each relevant item of a mixed block gets the block's mean precision in ``summed``; ``curve``
    gets the precision where the mean number of hits, which rises evenly along a block, reaches each hit. In the
    pessimistic order relevant items are last in mixed blocks, and ``above`` follows them.
    """
    if order == OPTIMISTIC:
        for hit in range(all_relevant):
            summed[hit] = (hit + 1) / (above[hit] + 1)
            curve[hit] = summed[hit]
        return
    for b in range(count):
        a, t, r, h = mixed[0, b], mixed[1, b], mixed[2, b], mixed[3, b]
        mean_precision = precision_sum(a, h, t, r, t, harmonic) / r
        for i in range(r):
            if order == EXPECTED:
                summed[h + i] = mean_precision
                curve[h + i] = (h + i + 1) / (a + (i + 1) * t / r)
            else:
                above[h + i] += t - r
                summed[h + i] = (h + i + 1) / (above[h + i] + 1)
                curve[h + i] = summed[h + i]


@subroutine
def _cut_inside(
    all_relevant: int, mixed: NDArray[np.int64], count: int, cuts: Ints, denominator: int, tables: NDArray[np.float64],
    summed: Reals, out: Reals,
) -> None:  # fmt: skip
    """Corrects the expected AP where a cut-off lies inside a mixed block, and nDCG@10 where one is among the first."""
    n, discount = len(cuts), tables[2]
    gain = out[n + LEVELS] * discount[min(all_relevant, 10)]
    for b in range(count):
        a, t, r, h = mixed[0, b], mixed[1, b], mixed[2, b], mixed[3, b]
        for c in range(n - 1):
            if a < cuts[c] < a + t:
                total = 0.0
                for hit in range(h):
                    total += summed[hit]
                out[c] = ap_inside(total, a, h, t, r, cuts[c], all_relevant, denominator, tables[0], tables[1])
        if a < 10:
            gain -= discount[min(a + r, 10)] - discount[a]
            gain += r / t * (discount[min(a + t, 10)] - discount[a])
    out[n + LEVELS] = gain / discount[min(all_relevant, 10)]


@kernel
def category_of_keys(
    keys: NDArray[Any],
    relevant: Ints,
    cuts: Ints,
    denominator: int,
    tables: NDArray[np.float64],
    values: NDArray[np.float64],
    mixed: NDArray[np.bool_],
    above: Ints,
    blocks: NDArray[np.int64],
    precisions: NDArray[np.float64],
) -> None:
    """AP at each cut, eleven interpolated precisions and nDCG@10 in every order of the tied items.

    Args:
        keys: ``queries items``, ascending, relevance in the lowest bit.
        relevant: Relevant items of each query.
        cuts: Ascending cut-offs, the gallery last.
        denominator: Of AP at a cut.
        tables: As `fico.metrics.kernels.blocks.tables` makes them.
        values: Receives ``orders queries columns``.
        mixed: Set for queries with relevant and non-relevant items of one score.
        above: Working memory, one more than there are items.
        blocks: Working memory, ``4 items``.
        precisions: Working memory, ``2 items``.
    """
    summed, curve = precisions[0], precisions[1]
    for q in range(len(keys)):
        _items_above(keys[q], above)
        count = _find_mixed(keys[q], above, relevant[q], blocks) if _is_mixed(keys[q]) else 0
        mixed[q] |= count > 0
        for order in range(PESSIMISTIC + 1):
            out = values[order, q]
            if order > 0 and count == 0:  # every order is the same
                for column in range(len(out)):
                    out[column] = values[0, q, column]
                continue
            _precisions(order, above, relevant[q], blocks, count, tables[0], summed, curve)
            _values(above, relevant[q], cuts, denominator, tables[2], summed, curve, out)
            if order == EXPECTED:
                _cut_inside(relevant[q], blocks, count, cuts, denominator, tables, summed, out)
