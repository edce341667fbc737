"""The training curves of a run: loss and monitored metric of each epoch."""

from typing import Any

import pytorch_lightning as L

from fico.run_context import EpochValues, RunContext

LOSS = "train/loss"


class TrainingHistory(L.Callback):
    """Keeps loss and the monitored validation metric of each epoch for the report, in checkpoints too.

    Args:
        context: The run's; its ``outputs.history`` is filled.
    """

    def __init__(self, context: RunContext) -> None:
        self._monitor, self._history = context.monitor, context.outputs.history

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        known = {name: float(trainer.callback_metrics[name]) for name in (LOSS, self._monitor)
                 if name in trainer.callback_metrics}  # fmt: skip
        self._history.append(EpochValues(trainer.current_epoch + 1, known.get(LOSS), known.get(self._monitor)))

    def state_dict(self) -> dict[str, Any]:
        return {"history": [[each.epoch, each.loss, each.monitored] for each in self._history]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._history[:] = [EpochValues(*each) for each in state_dict["history"]]
