"""Evaluates the embeddings of an epoch as retrieval, in both directions."""

import sys
from typing import Any

import pytorch_lightning as L
import torch.distributed as dist

from fico.evaluation.evaluate import evaluate, evaluate_scores, merge_results
from fico.evaluation.result import RetrievalResult
from fico.run_context import RunContext


class RetrievalEvaluation(L.Callback):
    """Evaluates at the end of every validation and test epoch and logs ``{split}/{task}/{direction}/{metric}``.

    The mean of both directions is logged as ``{split}/{task}/mean/{metric}``, by which the best epoch is chosen. Each
    process evaluates its rank's shard of the queries against the whole gallery.

    Args:
        context: The run's.
    """

    def __init__(self, context: RunContext) -> None:
        self._context = context

    def on_validation_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        # one resample: the intervals of a validation epoch are not used
        self._log(module, "val", self._evaluate(trainer, bootstrap=1))

    def on_test_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        result = self._evaluate(trainer)
        self._context.outputs.result = result
        self._log(module, trainer.datamodule.test_split, result)

    def _evaluate(self, trainer: L.Trainer, **changed: Any) -> RetrievalResult:
        split, outputs = trainer.datamodule.evaluated_split(trainer), self._context.outputs
        options: dict[str, Any] = {
            "labels": split.labels,
            "shard": (trainer.global_rank, trainer.world_size),
            "progress": trainer.is_global_zero and sys.stderr.isatty(),
            **self._context.metric,
            **changed,
        }
        i2t, t2i = outputs.i2t, outputs.t2i
        if i2t is None or t2i is None:
            embeddings = outputs.embeddings
            options |= {"similarity": self._context.similarity}
            result = evaluate(embeddings.images, embeddings.texts, split.correspondence, **options)
        else:
            result = evaluate_scores(i2t=i2t, t2i=t2i, correspondence=split.correspondence, **options)
        if trainer.world_size == 1:
            return result
        results: list[Any] = [None] * trainer.world_size
        dist.all_gather_object(results, result)
        return merge_results(results)

    @staticmethod
    def _log(module: L.LightningModule, split: str, result: RetrievalResult) -> None:
        values = {name: value for name, value in result.metrics.items() if "/chance/" not in name}
        for name in [name for name in values if "/i2t/" in name]:
            reverse = name.replace("/i2t/", "/t2i/")
            if reverse in values:
                values[name.replace("/i2t/", "/mean/")] = (values[name] + values[reverse]) / 2
        module.log_dict({f"{split}/{name}": value for name, value in values.items()}, rank_zero_only=True)
