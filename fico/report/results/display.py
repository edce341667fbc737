"""How metrics and directions are written for a reader: percents, ranks, intervals."""

from collections.abc import Sequence

from fico.evaluation.options import EvaluationOptions
from fico.metrics.specification import TASKS, Unit
from fico.report.results.metric import Metric, factor
from fico.report.results.schema import Results

DIRECTION_NAMES = {"i2t": "image to text", "t2i": "text to image"}
# What the default list of metrics has besides the usual ones; report.html shows everything.
UNPRINTED = ("MeanR", "MRR", "nDCG@10")
UNPRINTED_CUTS = ("R@50", "R@100", "R@200")  # unless a run chose the cut-offs of R@K itself


def shown_tasks(*runs: Results) -> list[str]:
    """Instance, category, and the names of further positives that any of the runs has."""
    keys = [key.split("/") for results in runs for key in results.metrics]
    there = dict.fromkeys(parts[1] for parts in keys if len(parts) == 4 and parts[2] in DIRECTION_NAMES)
    return list(dict.fromkeys((*TASKS, *there)))


def has_given_positives(results: Results) -> bool:
    """Whether the positives of the instance task were given as pairs, any number for each query."""
    return "positives" in (results.config.get("files") or {})


def metric_text(unit: Unit, value: float) -> str:
    """A metric's value: percent without the sign, or a rank or number as it is."""
    if unit != "rank":
        return f"{factor(unit) * value:.2f}"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}".removesuffix(".0")


def interval_text(metric: Metric) -> str:
    """The 95 % interval, as ``low–high`` in the unit of ``metric_text``; empty without one."""
    return "" if metric.interval is None else _span(metric.unit, *metric.interval)


def tie_bounds_text(metric: Metric) -> str:
    """The value under the worst and the best order of tied items, low to high; empty without ties."""
    if metric.pessimistic is None or metric.optimistic is None:
        return ""
    return _span(metric.unit, *sorted((metric.pessimistic, metric.optimistic)))


def metric_names(results: Results, task: str) -> list[str]:
    """Names of a task's metrics in their order, without the points of curves (``PR@...``) and chance.

    Those beyond the candidates of a re-ranking have no value, but a name.
    """
    names: dict[str, None] = {}
    for key in results.metrics:
        _, found, direction, name = [*key.split("/", 3), "", "", ""][:4]
        if found == task and direction in DIRECTION_NAMES and "/" not in name and not name.startswith("PR@"):
            names[name] = None
    beyond = [name for name in _wanted_names(results, task) if is_beyond_candidates(results, name)]
    if not names or not beyond:
        return list(names)
    return list(dict.fromkeys(name for name in (*_wanted_names(results, task), *names) if name in {*names, *beyond}))


def unprinted(recall_at: Sequence[int] | None) -> tuple[str, ...]:
    """Names of the metrics that a run leaves to its page and files.

    Args:
        recall_at: The cut-offs of R@K that the run chose; None or the default ones are not chosen, so that only the
            usual ones of them are printed.
    """
    usual = EvaluationOptions().recall_at
    return UNPRINTED if tuple(recall_at or usual) != usual else (*UNPRINTED, *UNPRINTED_CUTS)


def shown_names(results: Results, task: str) -> list[str]:
    """Names of the metrics of a task that a run prints: the usual ones and those that somebody asked for."""
    left_out = unprinted((results.config.get("metric") or {}).get("recall_at"))
    return [name for name in metric_names(results, task) if name not in left_out]


def is_beyond_candidates(results: Results, name: str) -> bool:
    """Whether a metric reaches beyond the candidates that the run re-ranked, where there is no order."""
    candidates = ((results.config.get("model") or {}).get("rerank") or {}).get("k")
    if candidates is None:
        return False
    _, _, cut = name.partition("@")
    return not cut.isdecimal() or int(cut) > candidates


def both_names(results: Results) -> list[str]:
    """Metrics of both directions together, as ``instance/RSUM``."""
    keys = (key.partition("/")[2] for key in results.metrics)
    return [key for key in keys if key.count("/") == 1]


def _wanted_names(results: Results, task: str) -> list[str]:
    """The cut-offs that the config lists for a task of the paper."""
    metric = results.config.get("metric") or {}
    if task == "instance":
        return [f"R@{k}" for k in metric.get("recall_at") or ()]
    return [f"mAP@{k}" for k in (*(metric.get("map_at") or ()), "N")] if task == "category" else []


def _span(unit: Unit, start: float, end: float) -> str:
    """Both ends, short: one digit after the point, no thousands separator, so that a table fits its columns."""
    if unit == "rank":
        return "–".join(metric_text(unit, value).replace(",", "") for value in (start, end))
    return f"{factor(unit) * start:.1f}–{factor(unit) * end:.1f}"
