"""The numbers that a run's page begins with: four of quality, each with chance, and what they cost."""

from dataclasses import dataclass

from fico.report.results.display import DIRECTION_NAMES, interval_text, is_beyond_candidates, metric_text
from fico.report.results.schema import Results
from fico.report.table.table import NOT_APPLICABLE
from fico.util.units import bytes_text, seconds_text

QUALITY = (("instance", "R@10"), ("category", "mAP@N"))
UNLABELLED = (("instance", "R@1"), ("instance", "R@10"))


@dataclass(frozen=True, slots=True)
class Headline:
    """One number.

    Args:
        title: The metric or the cost.
        direction: ``i2t``, ``t2i``, or empty for a cost.
        value: As it is shown.
        note: Interval and chance, or what the cost is of.
    """

    title: str
    direction: str
    value: str
    note: str


def quality_headlines(results: Results) -> tuple[Headline, ...]:
    """R@10 and mAP@N of both directions in percent; R@1 and R@10 without labels. What was not evaluated is left out."""
    tasks = (results.config.get("metric") or {}).get("tasks") or ()
    has_labels = bool(results.data.labels) and (not tasks or "category" in tasks)
    names = QUALITY if has_labels else UNLABELLED
    found = (_quality(results, task, name, way) for task, name in names for way in DIRECTION_NAMES)
    return tuple(one for one in found if one is not None)


def cost_headlines(results: Results) -> tuple[Headline, ...]:
    """Encoding time and bytes of an item, attention at query time, time of the run."""
    measured = results.efficiency
    items = results.data.images + results.data.captions
    found = []
    if measured.get("encode_seconds") is not None:
        found.append(
            Headline("encoding", "", seconds_text(measured["encode_seconds"] / items), "an item, network alone")
        )
    if measured.get("embedding_bytes") is not None:
        found.append(Headline("embedding", "", bytes_text(measured["embedding_bytes"] / items), "an item"))
    if results.model.query_time_attention and measured.get("attention_seconds"):
        seconds = seconds_text(measured["attention_seconds"] / items)
        found.append(Headline("attention", "", seconds, "a query, at query time"))
    elif not results.model.query_time_attention:
        found.append(Headline("attention", "", "none", "at query time"))
    stages = [{"fit": "training", "test": "test"}.get(stage, stage) for stage in results.config.get("stage") or ()]
    return (*found, Headline("run", "", seconds_text(results.seconds), " and ".join(stages)))


def _quality(results: Results, task: str, name: str, direction: str) -> Headline | None:
    metric = results.metric(f"{task}/{direction}/{name}")
    if metric is None:
        if not is_beyond_candidates(results, name):
            return None
        candidates = results.config["model"]["rerank"]["k"]
        return Headline(name, direction, NOT_APPLICABLE, f"no order beyond {candidates} re-ranked candidates")
    chance = results.metric(f"{task}/{direction}/chance/{name}")
    parts = [interval_text(metric), "" if chance is None else f"chance {metric_text(chance.unit, chance.value)}"]
    return Headline(name, direction, metric_text(metric.unit, metric.value), " · ".join(filter(None, parts)))
