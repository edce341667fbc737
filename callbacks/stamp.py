"""Stamps every checkpoint with the config of its model and the run that wrote it."""

from typing import Any

import pytorch_lightning as L

from fico.run_context import STAMP, RunContext


class ConfigStamp(L.Callback):
    """Adds the resolved model config to the checkpoint, as plain values that load without pickle.

    Args:
        context: The run's.
    """

    def __init__(self, context: RunContext) -> None:
        self._stamp = {"model": dict(context.model), "data": context.fingerprint, "run": context.key}

    def on_save_checkpoint(self, trainer: L.Trainer, module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint[STAMP] = self._stamp
