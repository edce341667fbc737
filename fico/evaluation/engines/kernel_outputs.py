"""Arrays that the compiled kernels fill for one block of queries."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import Bool, Int64

from fico.evaluation.options import EvaluationOptions
from fico.evaluation.state import TaskValues
from fico.metrics.kernels.compiled import Outputs
from fico.metrics.specification import TASKS, kind_of


@dataclass(slots=True, eq=False)
class KernelOutputs:
    """Values of every task for a block of queries.

    Args:
        tasks: Tasks that are evaluated; the kernels take arrays without rows for the others.
        relevant_counts: By task, relevant items of each query.
        values: By task, values under the tie rule and their pessimistic and optimistic bounds, ``queries columns``.
        mixed: Queries with a tied block of relevant and non-relevant items.
    """

    tasks: tuple[str, ...]
    relevant_counts: dict[str, Int64[np.ndarray, " queries"]]
    values: dict[str, Outputs]
    mixed: Bool[np.ndarray, " queries"]

    @classmethod
    def allocate(cls, queries: int, tasks: tuple[str, ...], options: EvaluationOptions) -> Self:
        """Arrays for a number of queries."""
        values: dict[str, Outputs] = {}
        for task in dict.fromkeys((*TASKS, *tasks)):
            shape = (queries if task in tasks else 0, len(options.columns(kind_of(task))))
            values[task] = (np.empty(shape), np.empty(shape), np.empty(shape))
        counts: dict[str, np.ndarray] = {task: np.zeros(queries, dtype=np.int64) for task in values}
        return cls(tasks, counts, values, np.zeros(queries, dtype=np.bool_))

    def rows(self, task: str, first: int, last: int) -> Outputs:
        """Views of the arrays of a task for some queries."""
        values, low, high = self.values[task]
        return values[first:last], low[first:last], high[first:last]

    def take_values(self, other: "KernelOutputs") -> None:
        """Replaces the values by those of another evaluation of the same queries; the tie bounds stay."""
        for task in self.tasks:
            self.values[task][0][:] = other.values[task][0]

    def task_values(self, positives: dict[str, Int64[np.ndarray, " queries"]]) -> dict[str, TaskValues]:
        """Values by task; ``positives`` counts the relevant items of each query where they were given."""
        self.relevant_counts |= positives
        results: dict[str, TaskValues] = {}
        for task in self.tasks:
            values, low, high = self.values[task]
            bounds = (low, high) if self.mixed.any() else None
            results[task] = TaskValues(self.relevant_counts[task], values, bounds)
        return results
