"""Arrays that the compiled kernels fill for one block of queries."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64

from fico.evaluation.engines.direction import DirectionTasks
from fico.evaluation.engines.fused_values import fused_values
from fico.evaluation.engines.unfused_columns import tie_orders
from fico.evaluation.state import TaskValues
from fico.metrics.counted_blocks import blocks_of_positives
from fico.metrics.kernels.orders import EXPECTED, OPTIMISTIC, ORDERS, PESSIMISTIC
from fico.metrics.ties import TiedBlocks
from fico.util.threads import one_torch_thread


@dataclass(frozen=True, slots=True, eq=False)
class PositiveBlocks:
    """Tied blocks that hold positives, with an entry for each positive of the queries, as the kernels list them.

    Args:
        start: Of each query its first entry in ``positives``, and of the last one its end.
        positives: Relevant items of all queries of the direction.
        above: Items scored above a block.
        tied: Items of the block.
        relevant: Relevant items of the block; 0 in the entries that a query does not need.
    """

    start: Int64[np.ndarray, " bounds"]
    positives: Int64[np.ndarray, " pairs"]
    above: Int64[np.ndarray, " entries"]
    tied: Int64[np.ndarray, " entries"]
    relevant: Int64[np.ndarray, " entries"]

    @classmethod
    def allocate(cls, start: Int64[np.ndarray, " bounds"], positives: Int64[np.ndarray, " pairs"]) -> "PositiveBlocks":
        """Arrays for some queries."""
        return cls(start, positives, *np.zeros((3, start[-1] - start[0]), dtype=np.int64))

    def arguments(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The arrays for some of the queries."""
        start = self.start[first : last + 1]
        entries = slice(start[0] - self.start[0], start[-1] - self.start[0])
        return start, self.positives, self.above[entries], self.tied[entries], self.relevant[entries]

    def ranking(self, items: int) -> TiedBlocks:
        """The blocks for the formulas of the metrics."""
        starts, listed = torch.from_numpy(self.start - self.start[0]), (self.above, self.tied, self.relevant)
        above, tied, relevant = (torch.from_numpy(part) for part in listed)
        return blocks_of_positives(starts, above, tied, relevant, items)


def category_values(queries: int, columns: int) -> Float[np.ndarray, "3 queries columns"]:
    """What the kernels of the category task fill; not contiguous, as a part is not: one layout is compiled."""
    return np.zeros((3, queries + 1, columns))[:, :queries]


class KernelOutputs:
    """Values of every task for a block of queries.

    Args:
        tasks: What is evaluated.
        start: First query.
        queries: Number of queries.
    """

    def __init__(self, tasks: DirectionTasks, start: int, queries: int) -> None:
        self._tasks, self.start, rows = tasks, start, queries if "category" in tasks.names else 0
        self.positives: dict[str, PositiveBlocks] = {}
        for task, instance in tasks.positives.items():
            starts, items = instance.positives(tasks.direction)
            self.positives[task] = PositiveBlocks.allocate(starts[start : start + queries + 1], items)
        self.category = category_values(rows, tasks.fused.count("category"))
        """Fused values of the category task, ``orders queries columns``."""
        self.relevant_counts = np.zeros(rows, dtype=np.int64)
        """Relevant items of each query of the category task."""
        self.mixed = np.zeros(queries, dtype=np.bool_)
        """Queries with a tied block of relevant and non-relevant items."""
        extra = {task: columns.extra for task, columns in tasks.columns.items() if columns.extra}
        self.others = {task: np.empty((3, queries, count)) for task, count in extra.items()}
        """By task that has any, the columns that are computed apart: under the tie rule, pessimistic, optimistic."""

    def task_values(self, by_index: "KernelOutputs") -> dict[str, TaskValues]:
        """Values by task.

        Args:
            by_index: Outputs of the same queries with equal scores in the order of their index, for ``ties="index"``;
                else these.
        """
        tasks, several, found = self._tasks, 3 if self.mixed.any() else 1, {}
        for task in tasks.names:
            if task == "category":
                chosen = by_index.category[ORDERS.get(tasks.options.ties, EXPECTED)]
                fused, counts = np.stack([chosen, *self.category[[PESSIMISTIC, OPTIMISTIC]]]), self.relevant_counts
            else:
                fused, counts = self._of_positives(task, by_index), np.diff(self.positives[task].start)
            others = self.others.get(task)
            found[task] = tasks.values(task, counts, fused[:several], None if others is None else others[:several])
        return found

    def _of_positives(self, task: str, by_index: "KernelOutputs") -> Float[np.ndarray, "3 queries columns"]:
        with one_torch_thread():
            blocks = self.positives[task].ranking(self._tasks.items)
            is_mixed = bool(blocks.is_mixed.any())  # else one order serves all three
            indexed = blocks if by_index is self else by_index.positives[task].ranking(self._tasks.items)
            orders = tie_orders(self._tasks.options.ties, blocks, indexed, is_mixed)
            values = fused_values(self._tasks.fused, task, orders)
            return values.expand(3, *values.shape[1:]).numpy()
