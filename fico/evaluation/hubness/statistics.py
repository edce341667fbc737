"""Hubness of an evaluation, from the occurrences that its engine counted."""

from fico.evaluation.state import EvaluationState, FoldState
from fico.evaluation.task_queries import fewest_scored
from fico.metrics.hubness import UNIT, Hubness, K
from fico.metrics.specification import Direction


def hubness_of(state: EvaluationState) -> dict[str, Hubness]:
    """Hubness by direction, over all rows of the query side; the mean of the folds.

    A direction is left out where a re-ranking scored fewer items of a query than the cut-off, behind which there is no
    order.
    """
    found = {}
    for direction in state.folds[0].directions:
        parts = [_of_fold(fold, direction) for fold in state.folds]
        if None not in parts:
            found[str(direction)] = Hubness.mean([part for part in parts if part is not None])
    return found


def _of_fold(fold: FoldState, direction: Direction) -> Hubness | None:
    state = fold.directions[direction]
    scored, k = fewest_scored(state), min(K, state.items)
    if scored is not None and scored < k:
        return None
    return Hubness.of(state.occurrences / UNIT, fold.item_rows(direction), k)
