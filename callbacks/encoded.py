"""The embeddings of an epoch, collected once for the callbacks that follow."""

from dataclasses import replace
from typing import Any

import pytorch_lightning as L
import torch.distributed as dist

from fico.embeddings.collect import Collector
from fico.embeddings.store import check_finite
from fico.run_context import RunContext
from fico.types import EncodedBatch


class EncodedEpoch(L.Callback):
    """Collects what ``validation_step`` and ``test_step`` return, from all processes, into ``outputs.encoded``.

    It stands before the callbacks that read the embeddings at the end of the epoch. Rows of more than a GiB are kept in
    files of the run's folder; the states of a re-ranker are kept in a test epoch only.

    Args:
        context: The run's.
    """

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._collector: Collector | None = None

    def _start(self, trainer: L.Trainer, *_: Any) -> None:
        split = trainer.datamodule.evaluated_split(trainer)
        self._collector = Collector(len(split.image_ids), len(split.caption_ids), self._context.folder)
        self._context.outputs.encoded = None

    def on_test_batch_end(self, trainer: L.Trainer, module: L.LightningModule, outputs: EncodedBatch, *_: Any) -> None:
        self._collected.add(_without_states(outputs) if self._context.rerank is None else outputs)

    def on_validation_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: EncodedBatch, *_: Any
    ) -> None:
        self._collected.add(_without_states(outputs))  # a validation epoch is judged by its embeddings

    def _end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        collector = self._collected
        if trainer.world_size > 1:
            _exchange(collector, trainer)
        encoded = collector.finish()
        split = trainer.datamodule.evaluated_split(trainer)
        check_finite(encoded.images, split.image_ids, "image", type(module).__name__)
        check_finite(encoded.texts, split.caption_ids, "caption", type(module).__name__)
        self._context.outputs.encoded, self._collector = encoded, None

    @property
    def _collected(self) -> Collector:
        if self._collector is None:
            raise RuntimeError("no epoch has begun")
        return self._collector

    on_validation_epoch_start = on_test_epoch_start = _start
    on_validation_epoch_end = on_test_epoch_end = _end


def _without_states(batch: EncodedBatch) -> EncodedBatch:
    return replace(batch, image_states=None, text_states=None)


def _exchange(collector: Collector, trainer: L.Trainer) -> None:
    """Exchange the rows of all processes, piece by piece."""
    own = collector.parts()
    while True:
        pieces: list[Any] = [None] * trainer.world_size
        dist.all_gather_object(pieces, next(own, None))
        if all(piece is None for piece in pieces):
            return
        for rank, piece in enumerate(pieces):
            if rank != trainer.global_rank and piece is not None:
                collector.add(piece)
