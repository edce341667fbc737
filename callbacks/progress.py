"""What a log without a terminal says of a run: a line an epoch, and how far each loop is."""

import logging
import sys
import time
from typing import Any

import pytorch_lightning as L

from fico.run_context import RunContext
from fico.util.progress import ProgressBar

log = logging.getLogger(__name__)


class EpochLines(L.Callback):
    """Logs loss, the monitored validation metric and the remaining time after each epoch, in the first process.

    Where standard error is no terminal, on which Lightning shows its bar, a loop of more than ten seconds reports every
    ten seconds how much of it is done.

    Args:
        context: The run's.
    """

    def __init__(self, context: RunContext) -> None:
        self._monitor = context.monitor
        self._bar: ProgressBar | None = None

    def on_fit_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._started, self._first = time.monotonic(), trainer.current_epoch

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        epoch = f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}"
        self._begin(trainer, trainer.num_training_batches, epoch)

    def on_validation_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._begin(trainer, sum(trainer.num_val_batches), "encoding the validation split")

    def on_test_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._begin(trainer, sum(trainer.num_test_batches), "encoding the tested split")

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        self._advance()

    on_validation_batch_end = on_test_batch_end = on_train_batch_end

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        epoch, epochs = trainer.current_epoch + 1, trainer.max_epochs
        left = (time.monotonic() - self._started) / (epoch - self._first) * (epochs - epoch)
        shown = [name for name in ("train/loss", self._monitor) if name in trainer.callback_metrics]
        values = ", ".join(f"{name} {trainer.callback_metrics[name]:.4f}" for name in shown)
        log.info("epoch %d of %d: %s, %.0f s left", epoch, epochs, values, left)

    def teardown(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        self._close()

    def on_exception(self, *_: Any) -> None:
        self._close()

    def _begin(self, trainer: L.Trainer, batches: float, description: str) -> None:
        self._close()
        if trainer.is_global_zero and not sys.stderr.isatty() and batches < float("inf"):
            self._bar = ProgressBar(int(batches), description)

    def _advance(self) -> None:
        if self._bar is not None:
            self._bar.advance()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
