"""One line per metric that says what was computed, so that no number stands without its definition."""

from fico.metrics.options import EvaluationOptions
from fico.metrics.specification import Task

_AP = {
    "hits": "divided by the relevant items among them",
    "min_k_r": "divided by min(K, all relevant items)",
    "r": "divided by all relevant items",
}
_MEDIAN = {"floor": "floored to a whole rank", "exact": "exact"}


def define(task: Task, metric: str, settings: EvaluationOptions) -> str:
    """What a metric is, without the rule for ties and the number of queries."""
    name, _, at = metric.partition("@")
    if name == "R" and settings.recall == "fraction":
        return f"mean fraction of a query's right items among the first {at}"
    if name == "R":
        return f"share of queries with at least one right item among the first {at}"
    if name == "MedR":
        return f"median rank of the first right item, from 1, {_MEDIAN[settings.median]}"
    if name == "MeanR":
        return "mean rank of the first right item, from 1"
    if name == "MRR":
        return "mean of 1 / rank of the first right item"
    if name == "nDCG":
        return f"normalised discounted cumulative gain of the first {at}, gain 1 for a {_kind(task)} item"
    if name == "PR":
        return f"highest precision at and behind recall {at} per query (trec_eval's cut), then the mean"
    if at == "N":
        return "mean average precision over the whole ranking"
    return f"mean average precision of the first {at}, {_AP[settings.ap].replace('K', at)}"


def _kind(task: Task) -> str:
    return "right" if task == "instance" else "relevant"
