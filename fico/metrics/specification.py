"""What defines a retrieval metric: direction, task, tie rule, AP denominator, rule for empty queries."""

from typing import Literal

Direction = Literal["i2t", "t2i"]
Task = Literal["instance", "category"]
Ties = Literal["expected", "optimistic", "pessimistic", "index"]
Denominator = Literal["hits", "min_k_r", "r"]
Empty = Literal["zero", "skip", "error"]
RecallKind = Literal["any", "fraction"]
Median = Literal["floor", "exact"]

DIRECTIONS: tuple[Direction, ...] = ("i2t", "t2i")
TASKS: tuple[Task, ...] = ("instance", "category")
RECALL_LEVELS = tuple(f"PR@{level / 10:.1f}" for level in range(11))
RANKS = ("MedR", "MeanR")  # counted in items from 1; every other metric is a fraction


def kind_of(task: str) -> Task:
    """Metrics of a task: those of ``category`` need labels; any other takes positives, as ``instance`` does."""
    return "category" if task == "category" else "instance"
