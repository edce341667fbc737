"""Compares the configured indexes on the embeddings of the test epoch."""

import logging

import pytorch_lightning as L
from torch import Tensor

from fico.bench.indexes.comparison import check_indexes, compare_indexes
from fico.bench.indexes.figure import draw
from fico.bench.indexes.task import TaskMetrics
from fico.bench.loggers import log_rows
from fico.evaluation.options import EvaluationOptions
from fico.run_context import RunContext

log = logging.getLogger(__name__)


class SearchScaling(L.Callback):
    """Compares every index with exact search on the test embeddings, in both directions.

    Beside recall relative to exact search each row has, under ``task``, R@K and mAP@K of the task through that index.
    Where an index binarises floats, a second row has the codes learnt from both sides. The rows go to the loggers as a
    table, as numbers and as a plot.

    Args:
        context: The run's.

    Raises:
        UsageError: An index refuses its settings or the code length; raised before training, not after it.
    """

    def __init__(self, context: RunContext) -> None:
        check_indexes(context.indexes, context.bits)
        self._context = context

    def on_test_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if not self._context.is_evaluated:
            return
        context, embeddings = self._context, self._context.outputs.embeddings
        is_indexable = embeddings.images.ndim == 2  # a pair scorer has no single vector that an index could hold
        if trainer.is_global_zero and context.indexes and is_indexable:
            log.info("comparing indexes: %s", ", ".join(context.indexes))
            images, texts, database = self._sides(trainer)
            rows = compare_indexes(
                images,
                texts,
                context.indexes,
                similarity=context.similarity,
                bits=context.bits,
                judge=self._judge(trainer),
                both_sides=True,
                database=database,
            )
            context.outputs.search_rows = rows
            log_rows(trainer.loggers, "search", rows, lambda: {"recall_and_time": draw(rows)})

    def _sides(self, trainer: L.Trainer) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor] | None]:
        """Queries of both sides, and the database that they search where the split has one."""
        embeddings, split = self._context.outputs.embeddings, trainer.datamodule.evaluated_split(trainer)
        if split.correspondence.database is None:
            return embeddings.images, embeddings.texts, None
        rows = split.correspondence.searched(len(split.image_ids))
        database = (embeddings.images[rows["t2i"][1]], embeddings.texts[rows["i2t"][1]])
        return embeddings.images[rows["i2t"][0]], embeddings.texts[rows["t2i"][0]], database

    def _judge(self, trainer: L.Trainer) -> TaskMetrics:
        split, metric = trainer.datamodule.evaluated_split(trainer), self._context.metric
        tasks = metric.get("tasks", ("instance", "category"))
        options = {name: metric[name] for name in ("ap", "empty", "map_at") if name in metric}
        if tuple(metric.get("recall_at", ())) not in ((), EvaluationOptions().recall_at):
            options["recall_at"] = metric["recall_at"]
        labels = split.labels if "category" in tasks else None
        recall = "instance" in tasks and split.correspondence.database is None
        return TaskMetrics(split.correspondence, len(split.image_ids), labels, recall=recall, **options)
