"""The embeddings of an epoch, collected once and read by the callbacks that come after."""

from typing import Any

import pytorch_lightning as L
import torch.distributed as dist

from fico.encoding import join, to_cpu
from fico.store import check_finite
from fico.types import EncodedBatch


class EncodedEpoch(L.Callback):
    """Collects what ``validation_step`` and ``test_step`` return, from all processes.

    It stands first in the trainer's list; the callbacks that need the embeddings get it as an argument and read
    ``embeddings`` in their own epoch end.
    """

    def __init__(self) -> None:
        self._batches: list[EncodedBatch] = []
        self._embeddings: EncodedBatch | None = None

    @property
    def embeddings(self) -> EncodedBatch:
        """Embeddings of the whole split in the order of the ids, on the CPU, the same in every process."""
        if self._embeddings is None:
            raise RuntimeError("no epoch has ended; EncodedEpoch must stand before the callbacks that read it")
        return self._embeddings

    def _start(self, *_: Any) -> None:
        self._batches, self._embeddings = [], None

    def _add(self, trainer: L.Trainer, module: L.LightningModule, outputs: EncodedBatch, *_: Any) -> None:
        self._batches.append(to_cpu(outputs))

    def _end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        batches = self._batches
        if trainer.world_size > 1:
            shares: list[Any] = [None] * trainer.world_size
            dist.all_gather_object(shares, batches)
            batches = [batch for share in shares for batch in share]
        split = trainer.datamodule.evaluated_split(trainer)
        joined = join(batches, images=len(split.image_ids), texts=len(split.caption_ids))
        check_finite(joined.images, split.image_ids, "image", type(module).__name__)
        check_finite(joined.texts, split.caption_ids, "caption", type(module).__name__)
        self._embeddings = joined
        self._batches = []

    on_validation_epoch_start = on_test_epoch_start = _start
    on_validation_batch_end = on_test_batch_end = _add
    on_validation_epoch_end = on_test_epoch_end = _end
