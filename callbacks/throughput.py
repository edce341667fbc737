"""Items a second and memory while a loop runs."""

import time
from typing import Any

import pytorch_lightning as L
import torch

from fico.types import PairBatch
from fico.util.resources import resident_memory

LOG_SECONDS = 10.0


class ThroughputLog(L.Callback):
    """Logs about every ten seconds of a loop what W&B's own curves of the machine do not know: how fast the run is.

    Logged are ``throughput/{train,val,test}/items_per_second``, images and captions of all processes since the line
    before, loading included, and the memory in use, ``throughput/process_bytes`` and on a GPU ``throughput/gpu_bytes``.
    A loop that ends earlier logs nothing.
    """

    def __init__(self) -> None:
        self._since, self._items = 0.0, 0

    def on_train_epoch_start(self, *_: Any) -> None:
        self._since, self._items = time.monotonic(), 0

    on_validation_epoch_start = on_test_epoch_start = on_train_epoch_start

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: PairBatch, *_: Any
    ) -> None:
        self._count(trainer, "train", batch)

    def on_validation_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: PairBatch, *_: Any
    ) -> None:
        self._count(trainer, "val", batch)

    def on_test_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: PairBatch, *_: Any
    ) -> None:
        self._count(trainer, "test", batch)

    def _count(self, trainer: L.Trainer, loop: str, batch: PairBatch) -> None:
        self._items += len(batch.image_ids) + len(batch.text_ids)
        seconds = time.monotonic() - self._since
        if seconds < LOG_SECONDS:
            return
        values = {
            f"throughput/{loop}/items_per_second": self._items * trainer.world_size / seconds,
            "throughput/process_bytes": float(resident_memory()),
        }
        if trainer.strategy.root_device.type == "cuda":
            values["throughput/gpu_bytes"] = float(torch.cuda.memory_allocated(trainer.strategy.root_device))
        for logger in trainer.loggers:
            logger.log_metrics(values, step=trainer.global_step)
        self._since, self._items = time.monotonic(), 0
