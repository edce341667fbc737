"""One line per epoch for logs that no terminal shows."""

import logging
import time

import pytorch_lightning as L

log = logging.getLogger(__name__)


class EpochLines(L.Callback):
    """Logs loss, the watched validation metric and the time left after each epoch."""

    def __init__(self, monitor: str | None) -> None:
        self._monitor = monitor

    def on_fit_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._started, self._first = time.monotonic(), trainer.current_epoch

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        epoch, epochs = trainer.current_epoch + 1, trainer.max_epochs
        left = (time.monotonic() - self._started) / (epoch - self._first) * (epochs - epoch)
        shown = [name for name in ("train/loss", self._monitor) if name in trainer.callback_metrics]
        values = ", ".join(f"{name} {trainer.callback_metrics[name]:.4f}" for name in shown)
        log.info("epoch %d of %d: %s, %.0f s left", epoch, epochs, values, left)
