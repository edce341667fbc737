"""What some runs measured, as systems that could be used: a model with an index, or one that scores pairs itself."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fico.metrics.specification import DIRECTIONS, Task
from fico.report.results.schema import Results, SearchRow
from fico.report.results.seeds import SeedGroup, group_seeds, is_untrained

DEFAULT_METRICS: dict[Task, str] = {"instance": "R@10", "category": "mAP@100"}  # which indexes are measured by, too


@dataclass(frozen=True, slots=True)
class System:
    """One way to search both sides, with what it reaches and costs.

    Args:
        model: The model, its code length, and what distinguishes it from others of its name.
        index: Name of the index; ``pairs`` where the model scores pairs itself.
        quality: Mean of both directions and of the seeds, a fraction.
        memory_bytes: What is held for both sides: the two indexes, or the rows that pairs are scored from.
        query_seconds: Of one query in the slower direction: its encoding and the search, in a batch of all queries.
        seeds: How many runs it is the mean of.
    """

    model: str
    index: str
    quality: float
    memory_bytes: float
    query_seconds: float
    seeds: int

    def is_dominated(self, others: Sequence["System"]) -> bool:
        """Whether another is at least as good in all three and better in one."""
        own = self._costs
        return any(
            other._costs != own and all(a <= b for a, b in zip(other._costs, own, strict=True)) for other in others
        )

    @property
    def _costs(self) -> tuple[float, float, float]:
        return -self.quality, self.memory_bytes, self.query_seconds


def measured_systems(runs: Sequence[Results], task: Task, metric: str) -> list[System]:
    """Every system that the runs measured by a metric, the best first.

    Args:
        runs: Finished runs on the same data.
        task: Which task.
        metric: Such as ``R@10``; an index that did not measure it is left out.
    """
    groups = group_seeds([run for run in runs if not is_untrained(run)])
    found = [system for group in groups for system in _of_group(group, task, metric)]
    return sorted(found, key=lambda each: (-each.quality, each.query_seconds, each.memory_bytes, each.model))


def _of_group(group: SeedGroup, task: Task, metric: str) -> Iterator[System]:
    scores_pairs = group.first.model.query_time_attention or bool((group.first.config.get("model") or {}).get("rerank"))
    by_index: dict[str, list[tuple[float, float, float]]] = {}
    for run in group.runs:
        measured = [("pairs", _pairs(run, task, metric))] if scores_pairs else _indexes(run, task, metric)
        for index, values in measured:
            if values is not None:
                by_index.setdefault(index, []).append(values)
    for index, rows in by_index.items():
        quality, memory, seconds = (math.fsum(column) / len(rows) for column in zip(*rows, strict=True))
        yield System(group.label, index, quality, memory, seconds, len(rows))


def _indexes(run: Results, task: Task, metric: str) -> list[tuple[str, tuple[float, float, float] | None]]:
    names = dict.fromkeys(row.index for row in run.search)
    return [(name, _index(run, [row for row in run.search if row.index == name], task, metric)) for name in names]


def _index(run: Results, rows: Sequence[SearchRow], task: Task, metric: str) -> tuple[float, float, float] | None:
    """None where a direction was not measured by the metric. An index measures instances by R, categories by mAP."""
    by_way = {str(row.details.get("direction")): row for row in rows}
    measured = [(by_way[way].details.get("task") or {}).get(metric) for way in DIRECTIONS if way in by_way]
    values = [value for value in measured if value is not None]
    is_of_task = any(name.endswith(f"/{metric}") and f"/{task}/" in name for name in run.metrics)
    if len(values) != len(DIRECTIONS) or not is_of_task:
        return None
    slower = max(row.search_seconds / row.queries for row in by_way.values())
    return sum(values) / len(values), sum(row.index_bytes for row in by_way.values()), _encoding(run) + slower


def _pairs(run: Results, task: Task, metric: str) -> tuple[float, float, float] | None:
    """Of a pair scorer, a re-ranker or a cascade: of the last the run has the times of each direction."""
    found = [run.metric(f"{task}/{way}/{metric}") for way in DIRECTIONS]
    values = [each.value for each in found if each is not None]
    costs, data = run.efficiency, run.data
    if len(values) != len(DIRECTIONS) or costs.get("attention_seconds") is None or costs.get("embedding_bytes") is None:
        return None
    memory, quality = costs["embedding_bytes"], sum(values) / len(values)
    steps = ("encode_seconds", "screen_seconds", "rank_seconds")
    if all(f"{way}_{step}" in costs for way in DIRECTIONS for step in steps):
        return quality, memory, max(math.fsum(costs[f"{way}_{step}"] for step in steps) for way in DIRECTIONS)
    is_reranker = bool((run.config.get("model") or {}).get("rerank"))
    queries = data.images + data.captions if is_reranker else min(data.images, data.captions)  # one pass for both ways
    memory += costs.get("feature_bytes", 0) if is_reranker else 0
    return quality, memory, _encoding(run) + costs["attention_seconds"] / queries


def _encoding(run: Results) -> float:
    return float(run.efficiency.get("encode_seconds") or 0.0) / (run.data.images + run.data.captions)
