"""Makes every checkpoint say how to build its module."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as L


class ConfigStamp(L.Callback):
    """Puts the resolved model config into the checkpoint, as plain values that load without pickle.

    Args:
        model: The resolved ``model`` node, sizes from the data filled in.
        fingerprint: Fingerprint of the training split.
    """

    KEY = "fico"

    def __init__(self, model: Mapping[str, Any], fingerprint: str) -> None:
        self._stamp = {"model": dict(model), "data": fingerprint}

    def on_save_checkpoint(self, trainer: L.Trainer, module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint[self.KEY] = self._stamp
