"""From the result of an evaluation to what the report writes."""

from collections.abc import Sequence

from fico.evaluation.result import RetrievalResult
from fico.report.results.metric import Metric
from fico.report.results.per_query import QueryTable

_ELSEWHERE = ("instance/R@", "category/mAP@", "category/PR@")  # columns of their own, and the points of curves


def collect_metrics(result: RetrievalResult, split: str) -> dict[str, Metric]:
    """Every metric with its interval, count, definition and tie bounds.

    Args:
        result: What ``fico.evaluate`` gave.
        split: Name that goes in front: ``test/instance/i2t/R@1``.

    Returns:
        In the order of ``result.metrics``.
    """
    collected = {}
    for name, value in result.metrics.items():
        low, high = result.intervals.get(name, (None, None))
        pessimistic, optimistic = result.tie_bounds.get(name, (None, None))
        metric = result.described_by.get(name.replace("/chance/", "/"))
        collected[f"{split}/{name}"] = Metric(
            value,
            low,
            high,
            result.queries[name],
            result.definitions[name],
            pessimistic,
            optimistic,
            metric.unit if metric else "fraction",
            metric.higher_is_better if metric else True,
        )
    return collected


def collect_hubness(result: RetrievalResult) -> dict[str, dict[str, float]]:
    """The statistics of each direction."""
    return {direction: found.values() for direction, found in result.hubness.items()}


def query_tables(
    result: RetrievalResult, image_ids: Sequence[str], caption_ids: Sequence[str]
) -> tuple[QueryTable, ...]:
    """The per-query values of both directions with the ids of the queries.

    Args:
        result: What ``fico.evaluate`` gave.
        image_ids: Id of each image row.
        caption_ids: Id of each caption row.
    """
    ids = {"i2t": image_ids, "t2i": caption_ids}
    return tuple(
        QueryTable(
            direction,
            tuple(str(ids[direction][row]) for row in values.rows),
            values.ranks,
            dict(values.average_precision),
            tuple(str(image_ids[row]) for row in values.images),
            {name.partition("@")[2]: found for name, found in values.values.items() if name.startswith("instance/R@")},
            {name: found for name, found in values.values.items() if not name.startswith(_ELSEWHERE)},
        )
        for direction, values in result.per_query.items()
    )
