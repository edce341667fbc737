"""Runs the configured indexes on the embeddings just made."""

from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as L

from callbacks.encoded import EncodedEpoch
from fico.bench.indexes.comparison import check_indexes, compare_indexes
from fico.bench.indexes.figure import draw
from fico.bench.indexes.task import TaskMetrics
from fico.bench.loggers import log_rows
from fico.search.base import Searcher


class SearchScaling(L.Callback):
    """Compares every index with exact search on the tested embeddings, in both directions.

    Beside recall relative to exact search each row has, under ``task``, R@K and mAP@K of the task through that index.
    Where an index makes codes of floats, a second row has the codes learnt from both sides. The rows go to the
    loggers as a table, as numbers and as a plot.

    Args:
        encoded: Where the embeddings are read.
        indexes: A maker of each index by name.
        similarity: Measure of the model, which exact search uses.
        bits: Code length of a hashing model, None for floats.
        metric: Options of the evaluation; ``tasks``, ``ap`` and ``empty`` are followed here.

    Raises:
        UsageError: An index refuses its settings or the code length: told before the training, not after it.
    """

    def __init__(
        self,
        encoded: EncodedEpoch,
        indexes: Mapping[str, Callable[..., Searcher]],
        similarity: str,
        bits: int | None,
        metric: Mapping[str, Any] | None = None,
    ) -> None:
        check_indexes(indexes, bits)
        self._encoded = encoded
        self._indexes = indexes
        self._similarity = similarity
        self._bits = bits
        self._metric = dict(metric or {})
        self.rows: list[dict[str, Any]] = []
        """Rows of `results.json`'s ``search``."""

    def on_test_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        embeddings = self._encoded.embeddings
        is_indexable = embeddings.images.ndim == 2  # a pair scorer has no single vector that an index could hold
        if trainer.is_global_zero and self._indexes and is_indexable:
            self.rows = compare_indexes(
                embeddings.images,
                embeddings.texts,
                self._indexes,
                similarity=self._similarity,
                bits=self._bits,
                judge=self._judge(trainer),
                both_sides=True,
            )
            log_rows(trainer.loggers, "search", self.rows, lambda: {"recall_and_time": draw(self.rows)})

    def _judge(self, trainer: L.Trainer) -> TaskMetrics:
        split = trainer.datamodule.evaluated_split(trainer)
        tasks = self._metric.get("tasks", ("instance", "category"))
        options = {name: self._metric[name] for name in ("ap", "empty") if name in self._metric}
        labels = split.labels if "category" in tasks else None
        return TaskMetrics(split.correspondence, len(split.image_ids), labels, recall=("instance" in tasks), **options)
