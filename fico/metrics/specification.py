"""What defines a retrieval metric: direction, task, tie rule, AP denominator, rule for empty queries."""

import re
from abc import ABC, abstractmethod
from typing import Literal, get_args

Direction = Literal["i2t", "t2i"]
Task = Literal["instance", "category"]
Ties = Literal["expected", "optimistic", "pessimistic", "index"]
Denominator = Literal["hits", "min_k_r", "r"]
Empty = Literal["zero", "skip", "error"]
RecallKind = Literal["any", "fraction"]
Median = Literal["floor", "exact"]
Correction = Literal["nnn", "dual_softmax"]  # of hubness; corrected scores are a task of that name
Unit = Literal["fraction", "sum", "rank", "number"]

DIRECTIONS: tuple[Direction, ...] = ("i2t", "t2i")
TASKS: tuple[Task, ...] = ("instance", "category")


def positives_name_problem(name: str) -> str | None:
    """Why further positives cannot have a name, which stands in the keys of their metrics; None where they can."""
    taken = (*TASKS, *get_args(Correction))
    if name not in taken and re.fullmatch(r"[A-Za-z0-9_-]+", name):
        return None
    return (
        f"positives have the name {name!r}, which stands in the keys of their metrics; give one of letters, digits, - "
        f"and _, other than {', '.join(taken)}"
    )


class RetrievalMetric(ABC):
    """Specification of a metric. Subclasses are frozen dataclasses, so that equal arguments make equal metrics.

    Attributes:
        task: ``instance`` or ``category``: which items are relevant.
        unit: ``fraction`` of 0 to 1 and ``sum`` of such fractions, both shown in percent; ``rank`` counts items from 1;
            ``number`` is any other.
        higher_is_better: Whether a table marks the highest value as the best.
    """

    __slots__ = ()

    task: Task
    unit: Unit = "fraction"
    higher_is_better: bool = True

    @property
    @abstractmethod
    def name(self) -> str:
        """Last part of its key, as ``R@10``; unique within a task."""

    @abstractmethod
    def definition(self) -> str:
        """What is computed, in a line, without the tie rule and the number of queries."""


def kind_of(task: str) -> Task:
    """Metrics of a task: those of ``category`` need labels; any other takes positives, as ``instance`` does."""
    return "category" if task == "category" else "instance"
