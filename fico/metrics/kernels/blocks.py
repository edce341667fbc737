"""Category values of rankings whose scores take few values, in closed form over their tied blocks.

A ranking is given by those of its tied blocks that hold relevant items, best first: ``above`` items scored higher,
``tied`` items in the block, ``relevant`` ones among them; ``all_relevant`` counts those of the query. Every metric here
is its exact mean over all orders of the tied items. A block without non-relevant items is free of ties, so
the optimistic order is the block ``(above, relevant, relevant)`` and the pessimistic one ``(above + tied - relevant,
relevant, relevant)``: one set of formulas serves every order. The same formulas, written on tensors, are in
``fico.metrics``; the tests hold both against enumeration.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fico.metrics.kernels.average_precision import average_precisions
from fico.metrics.kernels.compiled import ZERO, Ints, Reals, kernel, subroutine
from fico.metrics.kernels.orders import EXPECTED, PESSIMISTIC

LEVELS = 11  # recall levels of the precision-recall curve


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
def discounted_gain(above: Ints, tied: Ints, relevant: Ints, groups: int, all_relevant: int, discount: Reals) -> float:
    """nDCG@10 of one query with gains 0 and 1; ``discount[n]`` sums 1/log2(1 + rank) over the first n ranks."""
    gain = 0.0
    for g in range(groups):
        if above[g] >= 10:
            break
        gain += relevant[g] / tied[g] * (discount[min(above[g] + tied[g], 10)] - discount[above[g]])
    return gain / discount[min(all_relevant, 10)] if all_relevant > 0 else 0.0


@kernel
def category_of_counts(
    counts: NDArray[np.int64],
    relevant: NDArray[np.int64],
    cuts: Ints,
    denominator: int,
    tables: Reals,
    values: NDArray[np.float64],
    mixed: NDArray[np.bool_],
    curves: NDArray[np.float64],
    blocks: NDArray[np.int64],
) -> None:
    """AP at each cut, eleven interpolated precisions and nDCG@10 in every order of the tied items.

    Scores that are distances have curves too: 0 where nothing lies within the radius, or nothing is relevant.

    Args:
        counts: ``queries values``: items of each score, best first.
        relevant: Relevant items of each score.
        cuts: Ascending cut-offs, the gallery last.
        denominator: Of AP at a cut.
        tables: As `tables` makes them.
        values: Receives ``orders queries columns``.
        mixed: Set for queries with relevant and non-relevant items of one score.
        curves: ``2 values``: to which precision and recall of the items up to each score are added.
        blocks: Working memory, ``4 values``.
    """
    n, (above, others, tied, hits) = len(cuts), (blocks[0], blocks[1], blocks[2], blocks[3])
    for q in range(len(counts)):
        groups, all_relevant, seen = ZERO, ZERO, 0
        for value in range(counts.shape[1]):
            if relevant[q, value] > 0:
                above[groups], hits[groups] = seen, relevant[q, value]
                others[groups] = counts[q, value] - relevant[q, value]
                mixed[q] |= others[groups] > 0
                all_relevant += relevant[q, value]
                groups += 1
            seen += counts[q, value]
        seen, found = 0, 0
        for value in range(counts.shape[1]):
            seen += counts[q, value]
            found += relevant[q, value]
            if found > 0:
                curves[0, value] += found / seen
                curves[1, value] += found / all_relevant
        for order in range(3):
            for g in range(groups):
                tied[g] = hits[g] + (others[g] if order == EXPECTED else 0)
                above[g] += others[g] if order == PESSIMISTIC else 0
            out = values[order, q]
            average_precisions(above, tied, hits, groups, all_relevant, cuts, denominator, tables[0], tables[1], out)
            interpolated_precisions(above, tied, hits, groups, all_relevant, out[n:])
            out[n + LEVELS] = discounted_gain(above, tied, hits, groups, all_relevant, tables[2])


@lru_cache(maxsize=4)
def tables(items: int) -> np.ndarray:
    """Rows of harmonic numbers, logarithms of factorials and summed discounts up to ``items`` (at least 10)."""
    counts = np.arange(1, max(items, 10) + 1, dtype=np.float64)
    return np.stack([np.append(0.0, np.cumsum(each)) for each in (1 / counts, np.log(counts), 1 / np.log2(counts + 1))])
