"""The checkpoints of one run: the best epoch in ``best.ckpt``, the last one in ``last.ckpt``."""

import logging
import shutil
from pathlib import Path
from typing import Any

import pytorch_lightning as L
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor

from fico.errors import UsageError
from fico.experiment.checkpoints.module import load_checkpoint
from fico.run_context import STAMP
from fico.util.atomic import atomic_write

log = logging.getLogger(__name__)
BEST, LAST = "best.ckpt", "last.ckpt"


class LastCheckpoint(ModelCheckpoint):
    """Saves ``last.ckpt`` at the end of every training epoch, validated or not.

    Args:
        folder: Of the run's checkpoints.
        is_own: The run goes on from its own checkpoint: where a callback had stopped the training, it stays stopped.
    """

    def __init__(self, folder: Path, *, is_own: bool = False) -> None:
        super().__init__(folder, Path(LAST).stem, save_on_train_epoch_end=True, enable_version_counter=False)
        self._is_own, self._is_stopped = is_own, False

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save, and with it whether a callback has stopped the training."""
        self._is_stopped = trainer.should_stop
        super().on_train_epoch_end(trainer, pl_module)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stay stopped."""
        super().on_train_start(trainer, pl_module)
        trainer.should_stop = trainer.should_stop or (self._is_own and self._is_stopped)

    def state_dict(self) -> dict[str, Any]:
        """State of Lightning's callback, and whether the training was stopped."""
        return super().state_dict() | {"is_stopped": self._is_stopped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of the resumed run."""
        super().load_state_dict(state_dict)
        self._is_stopped = bool(state_dict.get("is_stopped", False))


class BestCheckpoint(ModelCheckpoint):
    """Keeps the epoch with the highest monitored value as ``best.ckpt``.

    The folder belongs to one run: what an earlier one left is removed before the first step. A run that resumes takes
    the best epoch so far, score and file, into its own folder. One that goes on in its own folder after a kill may find
    a best epoch there that is younger than its last checkpoint: it trains that epoch again, and writes it again.

    Args:
        folder: Of the run's checkpoints.
        monitor: Logged metric, higher is better.
        resumed: Checkpoint from which the training goes on; None starts anew.

    Raises:
        UsageError: The best epoch of the resumed run is needed, but its file is not there.
    """

    def __init__(self, folder: Path, monitor: str, resumed: Path | None = None) -> None:
        super().__init__(folder, Path(BEST).stem, monitor=monitor, mode="max", enable_version_counter=False)
        self._folder = folder
        self._resumed = resumed
        self._step: int | None = None  # of the best epoch
        self._carried = None if resumed is None else _best_file(resumed, self.state_key)

    @property
    def state_key(self) -> str:
        """Lightning's own key, so that checkpoints of earlier versions resume with their best epoch."""
        return super().state_key.replace(type(self).__qualname__, ModelCheckpoint.__qualname__, 1)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Make the folder that of this run before it trains."""
        super().setup(trainer, pl_module, stage)
        if stage == "fit":
            if trainer.is_global_zero:
                self._take_over()
            trainer.strategy.barrier()

    def _take_over(self) -> None:
        """Leave in the folder the checkpoint that is resumed and its best epoch alone."""
        best, kept = self._folder / BEST, {self._resumed, self._carried}
        if self._carried is not None and self._carried.resolve() != best.resolve():
            with atomic_write(best) as temporary:
                shutil.copyfile(self._carried, temporary)
            kept.add(best)
        is_kept = {path.resolve() for path in kept if path is not None}
        for name in (BEST, LAST):
            for path in self._folder.glob(f"{Path(name).stem}*.ckpt"):
                if path.resolve() not in is_kept:
                    path.unlink()

    def state_dict(self) -> dict[str, Any]:
        """State of Lightning's callback and the step of the best epoch."""
        return super().state_dict() | {"best_step": self._step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the best epoch of the resumed run, whose file is in this run's folder by now."""
        if self._carried is None:
            return
        score, best = state_dict["best_model_score"], str(Path(str(self.dirpath)) / BEST)
        self._step = state_dict.get("best_step")
        super().load_state_dict(
            state_dict
            | {"dirpath": self.dirpath, "best_model_path": best, "kth_best_model_path": best}
            | {"best_k_models": {best: score}, "kth_value": score, "last_model_path": ""}
        )

    def _save_checkpoint(self, trainer: L.Trainer, filepath: str) -> None:
        self._step = trainer.global_step
        super()._save_checkpoint(trainer, filepath)


def _best_file(resumed: Path, key: str) -> Path | None:
    """The file of the best epoch that a checkpoint knows of; None where it knows of none by this monitor.

    Raises:
        UsageError: There is none with this score.
    """
    checkpoint = load_checkpoint(resumed)
    state = checkpoint.get("callbacks", {}).get(key)
    if state is None or state["best_model_score"] is None:
        log.info("%s knows of no best epoch by this monitor; the best is chosen from the epochs that follow", resumed)
        return None
    if state.get("best_step") == checkpoint["global_step"]:
        return resumed
    score: Tensor = state["best_model_score"]
    own = checkpoint.get(STAMP, {}).get("run")
    for path in (resumed.parent / BEST, Path(state["best_model_path"])):
        if not path.is_file():
            continue
        found = load_checkpoint(path)
        is_younger = found["global_step"] > checkpoint["global_step"] and found.get(STAMP, {}).get("run") == own
        if _is_best(found, key, score, state.get("best_step")) or (own and is_younger):
            return path
    raise UsageError(
        f"{resumed} goes on from a run whose best epoch reached {score:.4f}, but {resumed.parent / BEST} does not hold "
        "that epoch; put the best.ckpt of that run beside it, or give the best.ckpt itself as model.checkpoint"
    )


def _is_best(checkpoint: dict[str, Any], key: str, score: Tensor, step: int | None) -> bool:
    found = checkpoint.get("callbacks", {}).get(key, {}).get("best_model_score")
    return found is not None and bool(found == score) and step in (None, checkpoint["global_step"])
