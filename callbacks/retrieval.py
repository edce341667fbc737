"""Evaluates an epoch as retrieval, in both directions, by `fico.RetrievalMetrics`."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytorch_lightning as L
from torch import Tensor

from callbacks.bank import encode_bank
from callbacks.scores import PairScores
from fico.evaluation.engine import find_device
from fico.evaluation.options import bind_options
from fico.evaluation.result import RetrievalResult
from fico.evaluation.retrieval_metrics import RetrievalMetrics
from fico.external.positives import further_positives
from fico.run_context import RunContext
from fico.types import EncodedBatch


class RetrievalEvaluation(L.Callback):
    """Updates the metric with what each validation and test step returns; computes and logs it after the epoch.

    Logged are ``{split}/{task}/{direction}/{metric}`` and the mean of both directions as ``mean``, by which the best
    epoch is chosen. Embeddings, scores and result go into the run's ``outputs`` for the callbacks that follow.

    Args:
        context: The run's.

    Raises:
        UsageError: The metrics shall be computed on a device that is not there; raised before training, not after it.
    """

    def __init__(self, context: RunContext) -> None:
        find_device(np.empty(0), bind_options(context.metric))
        self._context = context
        self._metric: RetrievalMetrics | None = None

    def on_validation_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        scores = PairScores(trainer, module, progress=False)
        # one resample: the intervals of a validation epoch are not used
        self._start(trainer, module, scores, bootstrap=1, hubness_correction=None)

    def on_test_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if not self._context.is_evaluated:
            return
        context, progress = self._context, trainer.is_global_zero
        scores = PairScores(trainer, module, folder=context.folder, rerank=context.rerank, progress=progress)
        split = trainer.datamodule.evaluated_split(trainer)
        ids = (split.image_ids, split.caption_ids)
        positives = further_positives(context.positives, *ids, split.correspondence)
        bank = encode_bank(trainer, module, context.folder) if context.metric.get("hubness_correction") else None
        self._start(trainer, module, scores, positives=positives, bank=bank)
        if context.outputs.shards is not None:
            for batch in context.outputs.shards.stored():
                self._started.update(batch)

    def on_validation_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: EncodedBatch, *_: Any
    ) -> None:
        self._started.update(_without_states(outputs))  # a validation epoch is judged by its embeddings

    def on_test_batch_end(self, trainer: L.Trainer, module: L.LightningModule, outputs: EncodedBatch, *_: Any) -> None:
        if not self._context.is_evaluated:
            return
        batch = _without_states(outputs) if self._context.rerank is None else outputs
        shards = self._context.outputs.shards
        self._started.update(batch)
        if shards is not None:
            shards.add(batch, self._context.outputs.encode_seconds or 0.0)

    def on_validation_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._log(module, "val", self._finish())

    def on_test_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if not self._context.is_evaluated:
            return
        outputs = self._context.outputs
        if outputs.shards is not None and self._scores.are_needed:  # which may take hours, and need the same rows
            outputs.shards.flush(outputs.encode_seconds or 0.0)
        outputs.result = result = self._finish()
        self._log(module, trainer.datamodule.test_split, result)

    def _start(self, trainer: L.Trainer, module: L.LightningModule, scores: PairScores, **changed: Any) -> None:
        split, context = trainer.datamodule.evaluated_split(trainer), self._context
        options = {"progress": trainer.is_global_zero, **context.metric, **changed}
        self._scores = scores
        comparison = {"score_pairs": scores} if scores.are_needed else {"similarity": context.similarity}
        self._metric = RetrievalMetrics(
            split.correspondence,
            images=len(split.image_ids),
            labels=split.labels,
            names=(split.image_ids, split.caption_ids),
            folder=context.folder,
            **comparison,
            **options,
        ).to(module.device)
        context.outputs.encoded = None

    def _finish(self) -> RetrievalResult:
        metric, outputs = self._started, self._context.outputs
        result = metric.compute()
        outputs.encoded = _on_cpu(metric.encoded)
        outputs.i2t, outputs.t2i = metric.scores or (None, None)
        outputs.attention_seconds = self._scores.seconds
        self._metric = None
        return result

    @property
    def _started(self) -> RetrievalMetrics:
        if self._metric is None:
            raise RuntimeError("no epoch has begun")
        return self._metric

    @staticmethod
    def _log(module: L.LightningModule, split: str, result: RetrievalResult) -> None:
        values = {name: value for name, value in result.metrics.items() if "/chance/" not in name}
        for name in [name for name in values if "/i2t/" in name]:
            reverse = name.replace("/i2t/", "/t2i/")
            if reverse in values:
                values[name.replace("/i2t/", "/mean/")] = (values[name] + values[reverse]) / 2
        for direction, hubness in result.hubness.items():
            values |= {f"hubness/{direction}/{name}": value for name, value in hubness.values().items()}
        # every process has the same values, whose maximum is exact where a mean would be rounded
        module.log_dict({f"{split}/{name}": value for name, value in values.items()}, sync_dist=True, reduce_fx="max")


def _without_states(batch: EncodedBatch) -> EncodedBatch:
    return replace(batch, image_states=None, text_states=None)


def _on_cpu(batch: EncodedBatch) -> EncodedBatch:
    values = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return EncodedBatch(**{name: value.cpu() if isinstance(value, Tensor) else value for name, value in values.items()})
