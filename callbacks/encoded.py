"""The embeddings of an epoch, collected once and read by the callbacks that come after."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as L
import torch.distributed as dist

from fico.embeddings.collect import Collector
from fico.embeddings.store import check_finite
from fico.types import EncodedBatch


class EncodedEpoch(L.Callback):
    """Collects what ``validation_step`` and ``test_step`` return, from all processes.

    It stands first in the trainer's list; the callbacks that need the embeddings get it as an argument and read
    ``embeddings`` in their own epoch end.

    Args:
        folder: The run's folder, where rows that take more than a GiB lie in files while the process runs.
        rerank: Re-ranking of the model; without it the states that it needs are not kept.
    """

    def __init__(self, folder: Path | None = None, rerank: Mapping[str, Any] | None = None) -> None:
        self._folder = folder
        self._reranks = rerank is not None
        self._collector: Collector | None = None
        self._embeddings: EncodedBatch | None = None

    @property
    def embeddings(self) -> EncodedBatch:
        """Embeddings of the whole split in the order of the ids, on the CPU, the same in every process."""
        if self._embeddings is None:
            raise RuntimeError("no epoch has ended; EncodedEpoch must stand before the callbacks that read it")
        return self._embeddings

    def _start(self, trainer: L.Trainer, *_: Any) -> None:
        split = trainer.datamodule.evaluated_split(trainer)
        self._collector = Collector(len(split.image_ids), len(split.caption_ids), self._folder)
        self._embeddings = None

    def on_test_batch_end(self, trainer: L.Trainer, module: L.LightningModule, outputs: EncodedBatch, *_: Any) -> None:
        self._collected.add(outputs if self._reranks else _without_states(outputs))

    def on_validation_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: EncodedBatch, *_: Any
    ) -> None:
        self._collected.add(_without_states(outputs))  # an epoch is judged by its embeddings

    def _end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        collector = self._collected
        if trainer.world_size > 1:
            _exchange(collector, trainer)
        joined = collector.finish()
        split = trainer.datamodule.evaluated_split(trainer)
        check_finite(joined.images, split.image_ids, "image", type(module).__name__)
        check_finite(joined.texts, split.caption_ids, "caption", type(module).__name__)
        self._embeddings, self._collector = joined, None

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
    """Give every process the rows of all others, piece by piece."""
    own = collector.parts()
    while True:
        shares: list[Any] = [None] * trainer.world_size
        dist.all_gather_object(shares, next(own, None))
        others = [share for rank, share in enumerate(shares) if rank != trainer.global_rank and share is not None]
        if not any(share is not None for share in shares):
            return
        for share in others:
            collector.add(share)
