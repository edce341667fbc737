"""What a reader of a result must know: empty queries, metrics that do not apply, cut-offs beyond the gallery."""

from collections.abc import Iterator

from fico.evaluation.columns import task_columns
from fico.evaluation.state import EvaluationState
from fico.evaluation.task_queries import TaskQueries, fewest_scored
from fico.metrics.recall import Recall


def notes(state: EvaluationState, folds: list[list[TaskQueries]]) -> Iterator[str]:
    """One sentence each, by task and direction over all folds."""
    yield from state.notes
    if "category" in state.options.tasks and not any(queries.task == "category" for queries in folds[0]):
        for metric in task_columns(state.options.listed, "category").by_distance:
            yield f"category {metric.name} is left out: it needs labels"
    for several in zip(*folds, strict=True):
        yield from _empty_queries(several, state)
        first = several[0]
        name = f"{first.task} {first.direction}"
        if first.left_out:
            curve = [metric for metric in first.left_out if metric.startswith("PR@")]
            absent = ", ".join([*sorted(first.left_out.difference(curve)), *(["PR"] if curve else [])])
            yield (
                f"{name}: {absent} not applicable: after the items that a re-ranking scored (at least "
                f"{fewest_scored(state.folds[0].directions[first.direction])} a query) there is no order"
            )
        recalls = [metric for metric in first.columns.metrics if isinstance(metric, Recall)]
        high = [metric.name for metric in recalls if metric.k > first.items]
        if high:
            verb = "reaches" if len(high) == 1 else "reach"
            yield f"{name}: {', '.join(high)} {verb} beyond the gallery of {first.items}"


def _empty_queries(several: tuple[TaskQueries, ...], state: EvaluationState) -> Iterator[str]:
    rule, is_many = state.options.empty, state.is_many
    empty = sum(int((queries.relevant_counts == 0).sum()) for queries in several)
    total = sum(len(queries.relevant_counts) for queries in several)
    task, direction = several[0].task, several[0].direction
    if empty and task == "instance" and not is_many:
        yield f"{empty} of {total} images have no caption and are no {direction} queries"
    elif empty and task != "category":
        yield f"{task} {direction}: {empty} of {total} queries have no known positive and are left out"
    elif empty:
        treatment = "count 0" if rule == "zero" else "are left out"
        yield f"{task} {direction}: {empty} of {total} queries have no relevant item and {treatment}"
