"""Blocks of real scores: the tied blocks of the positives of each query, by counting."""

import numpy as np
from numpy.typing import NDArray

from fico.metrics.kernels.compiled import Ints, Scores, kernel


@kernel
def count_above(row: Scores, score: float) -> tuple[int, int]:
    """Scores above and equal to one."""
    above, equal = 0, 0
    for j in range(len(row)):
        above += row[j] > score
        equal += row[j] == score
    return above, equal


@kernel
def count_positives(
    scores: Scores,
    start: Ints,
    positives: Ints,
    above: Ints,
    tied: Ints,
    relevant: Ints,
    mixed: NDArray[np.bool_],
) -> None:
    """Tied blocks of each row that hold positives, best first.

    Args:
        scores: ``queries items``.
        start: Of each query its first entry in ``positives``, and of the last one its end.
        positives: Relevant items.
        above: Receives items scored above a block; like the others it has an entry for each positive of these queries,
            of which a query fills as many as it has blocks.
        tied: Receives items of the block.
        relevant: Receives relevant items of the block.
        mixed: Set for queries with relevant and non-relevant items of one score.
    """
    for q in range(len(scores)):
        row, block, found, last = scores[q], start[q] - start[0], 0, scores[q, 0]
        while found < start[q + 1] - start[q]:
            best, hits = row[0], 0
            for n in range(start[q], start[q + 1]):
                score = row[positives[n]]
                if found > 0 and score >= last:
                    continue
                if hits == 0 or score > best:
                    best, hits = score, 1
                elif score == best:
                    hits += 1
            above[block], tied[block] = count_above(row, best)
            relevant[block] = hits
            mixed[q] |= tied[block] > hits
            found, last, block = found + hits, best, block + 1
