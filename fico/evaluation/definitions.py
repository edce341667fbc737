"""Definition of each metric in one line, kept with its value."""

from fico.evaluation.options import EvaluationOptions
from fico.metrics.specification import Task

_AP = {
    "hits": "divided by the relevant items among them",
    "min_k_r": "divided by min(K, all relevant items)",
    "r": "divided by all relevant items",
}
_MEDIAN = {"floor": "floored to a whole rank", "exact": "exact"}


def define(task: Task, metric: str, options: EvaluationOptions) -> str:
    """Definition of a metric, without the tie rule and the number of queries."""
    name, _, at = metric.partition("@")
    if name == "R" and options.recall == "fraction":
        return f"mean fraction of a query's relevant items among the first {at}"
    if name == "R":
        return f"fraction of queries with at least one relevant item among the first {at}"
    if name == "MedR":
        return f"median rank of the first relevant item, from 1, {_MEDIAN[options.median]}"
    if name == "MeanR":
        return "mean rank of the first relevant item, from 1"
    if name == "MRR":
        return "mean of 1 / rank of the first relevant item"
    if name == "nDCG":
        return f"normalised discounted cumulative gain of the first {at}, gain 1 for a relevant item"
    if name == "PR":
        return f"highest precision at or beyond recall {at} per query (trec_eval's cut-off), then the mean"
    if metric == "R-Precision":
        return "mean fraction of relevant items among the first R, the number of relevant items of the query"
    if at == "R":
        return "mean average precision of the first R, the number of relevant items of the query, divided by R"
    if at == "N":
        return "mean average precision over the whole ranking"
    return f"mean average precision of the first {at}, {_AP[options.ap].replace('K', at)}"
