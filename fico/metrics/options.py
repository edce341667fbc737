"""Options of one evaluation."""

from dataclasses import dataclass

import numpy as np

from fico.errors import UsageError
from fico.metrics.specification import RECALL_LEVELS, Denominator, Empty, Median, RecallKind, Task, Ties


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """Definitions of one evaluation; see ``fico.evaluation.evaluate.evaluate`` for the meaning of each.

    Raises:
        UsageError: ``bootstrap`` or ``seed`` is no whole number of at least 1 or 0.
    """

    tasks: tuple[Task, ...] = ("instance", "category")
    ties: Ties = "expected"
    ap: Denominator = "hits"
    empty: Empty = "zero"
    recall: RecallKind = "any"
    median: Median = "floor"
    recall_at: tuple[int, ...] = (1, 5, 10, 50, 100, 200)
    map_at: tuple[int, ...] = (10, 100)
    bootstrap: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, least in (("bootstrap", self.bootstrap, 1), ("seed", self.seed, 0)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise UsageError(f"{name}={value!r} must be a whole number of at least {least}")

    def columns(self, task: Task) -> tuple[str, ...]:
        """Names of a task's values per query, in the order of the kernels."""
        if task == "instance":
            return (*(f"R@{k}" for k in self.recall_at), "rank", "MRR", "nDCG@10")
        return (*(f"mAP@{k}" for k in self.map_at), "mAP@N", *RECALL_LEVELS, "nDCG@10")
