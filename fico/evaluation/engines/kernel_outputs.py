"""Arrays that the compiled kernels fill for one block of queries."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import Bool, Int64

from fico.evaluation.columns import TaskColumns
from fico.evaluation.state import TaskValues
from fico.metrics.kernels.compiled import Outputs


@dataclass(slots=True, eq=False)
class KernelOutputs:
    """Values of every task for a block of queries.

    Args:
        columns: Columns of every task.
        tasks: Tasks that are evaluated; the kernels take arrays without rows for the others.
        relevant_counts: By task, relevant items of each query.
        values: By task, values under the tie rule and their pessimistic and optimistic bounds, ``queries columns``:
            the fused columns, which the kernels fill.
        others: By task that has any, the same of the columns that are computed apart.
        mixed: Queries with a tied block of relevant and non-relevant items.
    """

    columns: dict[str, TaskColumns]
    tasks: tuple[str, ...]
    relevant_counts: dict[str, Int64[np.ndarray, " queries"]]
    values: dict[str, Outputs]
    others: dict[str, Outputs]
    mixed: Bool[np.ndarray, " queries"]

    @classmethod
    def allocate(cls, queries: int, tasks: tuple[str, ...], columns: dict[str, TaskColumns]) -> Self:
        """Arrays for a number of queries."""
        values = {task: _outputs(queries if task in tasks else 0, of.fused.count(task)) for task, of in columns.items()}
        others = {task: _outputs(queries, columns[task].extra) for task in tasks if columns[task].extra}
        counts: dict[str, np.ndarray] = {task: np.zeros(queries, dtype=np.int64) for task in columns}
        return cls(columns, tasks, counts, values, others, np.zeros(queries, dtype=np.bool_))

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
            others = self.others.get(task, (None,) * 3)
            select = self.columns[task].select
            values, low, high = (select(*pair) for pair in zip(self.values[task], others, strict=True))
            bounds = (low, high) if self.mixed.any() else None
            results[task] = TaskValues(self.relevant_counts[task], values, bounds)
        return results


def _outputs(queries: int, columns: int) -> Outputs:
    return np.empty((queries, columns)), np.empty((queries, columns)), np.empty((queries, columns))
