"""The bar of a training on a terminal, with one number for an epoch."""

from typing import Any

import pytorch_lightning as L
from pytorch_lightning.callbacks import RichProgressBar


class EpochBar(RichProgressBar):  # type: ignore[misc]
    """Lightning's bar on standard error, counting epochs from 1 as the lines above it do, without a version."""

    def __init__(self) -> None:
        super().__init__(console_kwargs={"stderr": True})

    def _get_train_description(self, current_epoch: int) -> str:
        description = f"epoch {current_epoch + 1} of {self.trainer.max_epochs}"
        return f"{description:<{len(self.validation_description)}}"

    def get_metrics(self, trainer: L.Trainer, module: L.LightningModule) -> dict[str, Any]:
        """The loss; the lines above the bar say what an epoch reached."""
        found = super().get_metrics(trainer, module)
        return {name: value for name, value in found.items() if name != "v_num"}
