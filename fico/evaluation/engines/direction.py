"""What both engines are given: the tasks of one direction, their relevance, and the columns of their values."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int64

from fico.evaluation.columns import FusedColumns, task_columns
from fico.evaluation.engines.label_distances import DistanceColumns
from fico.evaluation.options import EvaluationOptions
from fico.evaluation.relevance import CategoryRetrieval, InstanceRetrieval
from fico.evaluation.state import TaskValues
from fico.metrics.specification import Direction


class DirectionTasks:
    """The tasks of one direction of a fold.

    Args:
        direction: ``i2t`` or ``t2i``.
        instance: Relevance by the correspondence; also the images that queries and items belong to.
        category: Relevance by labels, or None.
        options: What is computed.
        others: Further positives by the name of their task.
    """

    def __init__(
        self,
        direction: Direction,
        instance: InstanceRetrieval,
        category: CategoryRetrieval | None,
        options: EvaluationOptions,
        others: Mapping[str, InstanceRetrieval] | None = None,
    ) -> None:
        self.direction: Direction = direction
        self.instance, self.category, self.options = instance, category, options
        self.positives = {"instance": instance, **(others or {})}
        """Positives of every query by task, whether the instance task is evaluated or not."""
        self.names = (*(task for task in options.tasks if task == "instance" or category), *(others or ()))
        """Tasks that are evaluated."""
        self.columns = {task: task_columns(options.listed, task) for task in self.names}
        self.fused = FusedColumns.of(options.listed)
        self.query_images, self.item_images = instance.images_of(direction)

    @property
    def items(self) -> int:
        """Size of the gallery."""
        return len(self.item_images)

    def relevance(self, task: str) -> InstanceRetrieval | CategoryRetrieval:
        """Which items are relevant to a query."""
        return self.category if task == "category" and self.category else self.positives[task]

    def distance_columns(self, device: torch.device) -> DistanceColumns | None:
        """Columns whose relevance is a distance of labels, which the category task may have."""
        by_distance = self.columns["category"].by_distance if "category" in self.names else ()
        if not by_distance or self.category is None:
            return None
        return DistanceColumns(by_distance, self.category, self.direction, self.options.ties, device)

    def values(
        self,
        task: str,
        relevant_counts: Int64[np.ndarray, " queries"],
        fused: Float[np.ndarray, "orders queries fused"],
        others: Float[np.ndarray, "orders queries others"] | None,
    ) -> TaskValues:
        """Values of some queries.

        Args:
            task: Which task.
            relevant_counts: Relevant items of each query.
            fused: Columns that the engine fills together: under the tie rule, and if a tied block of the queries is
                mixed, in the pessimistic and in the optimistic order.
            others: The columns that are computed apart; None where there are none.
        """
        found = self.columns[task].select(fused, others)
        return TaskValues(relevant_counts, found[0], (found[1], found[2]) if len(found) > 1 else None)
