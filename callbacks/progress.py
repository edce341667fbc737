"""One line per epoch for logs that no terminal shows."""

import logging
import time

import pytorch_lightning as L

from fico.run_context import RunContext

log = logging.getLogger(__name__)


class EpochLines(L.Callback):
    """Logs loss, the monitored validation metric and the remaining time after each epoch, in the first process.

    Args:
        context: The run's.
    """

    def __init__(self, context: RunContext) -> None:
        self._monitor = context.monitor

    def on_fit_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._started, self._first = time.monotonic(), trainer.current_epoch

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        epoch, epochs = trainer.current_epoch + 1, trainer.max_epochs
        left = (time.monotonic() - self._started) / (epoch - self._first) * (epochs - epoch)
        shown = [name for name in ("train/loss", self._monitor) if name in trainer.callback_metrics]
        values = ", ".join(f"{name} {trainer.callback_metrics[name]:.4f}" for name in shown)
        log.info("epoch %d of %d: %s, %.0f s left", epoch, epochs, values, left)
