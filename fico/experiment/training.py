"""Training and testing: the trainer, its checkpoints and its precision."""

import sys
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as L
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig
from pytorch_lightning.callbacks import ModelCheckpoint, RichProgressBar
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins.precision import MixedPrecision

from fico.errors import UsageError
from fico.experiment.build import build
from fico.experiment.checkpoint import build_module, check_checkpoint
from fico.experiment.context import build_callbacks
from fico.experiment.datamodule import RetrievalDataModule
from fico.run_context import RunContext

MIXED: dict[str, Literal["bf16-mixed", "16-mixed"]] = {"bf16": "bf16-mixed", "fp16": "16-mixed"}


def train_and_test(
    config: DictConfig, data: RetrievalDataModule, context: RunContext, loggers: list[Logger]
) -> L.Trainer:
    """Run the stages of the config; what the test measured is in ``context.outputs``.

    Args:
        config: The composed config, with the sizes that come from the data.
        data: The splits and features of the run.
        context: The run's.
        loggers: Open ones.

    Raises:
        FicoError: Whatever the user can fix.
    """
    module = build_module(config.model)
    best = ModelCheckpoint(
        context.folder / "checkpoints", filename="best", monitor=context.monitor, mode="max", save_last=True
    )
    trainer = _trainer(config, [*build_callbacks(config.callbacks, context), best], loggers, context.folder)
    checkpoint = config.model.checkpoint
    if checkpoint:
        check_checkpoint(Path(checkpoint), module, context.fingerprint)
    if "fit" in config.stage:
        _fit(trainer, module, data, checkpoint)
        checkpoint = best.best_model_path
    if "test" in config.stage:
        use_test_precision(trainer, config.model.get("precision"))
        trainer.test(module, datamodule=data, ckpt_path=checkpoint, verbose=False)
    return trainer


def use_test_precision(trainer: L.Trainer, precision: str | None) -> None:
    """Let test steps, and the scoring around them, run under Lightning's mixed precision; training keeps its own.

    Args:
        trainer: ``trainer.precision`` holds for training, and for the test where ``precision`` is None.
        precision: ``model.precision``: ``bf16`` or ``fp16``.
    """
    if precision is not None:
        device = trainer.strategy.root_device.type
        trainer.strategy.precision_plugin = MixedPrecision(MIXED[precision], device)


def _trainer(config: DictConfig, callbacks: list[L.Callback], loggers: list[Logger], folder: Path) -> L.Trainer:
    """Build the trainer; `fico.experiment.config` refuses the user's keys that are set here."""
    options: dict[str, Any] = {"enable_progress_bar": sys.stdout.isatty(), "enable_model_summary": False}
    options |= {str(key): value for key, value in config.trainer.items()}
    if options["enable_progress_bar"]:
        callbacks = [*callbacks, RichProgressBar()]
    trainer: L.Trainer = build(
        options,
        callbacks=callbacks,
        logger=loggers,
        default_root_dir=str(folder),
        max_epochs=config.model.epochs,
        gradient_clip_val=config.model.gradient_clip,
        use_distributed_sampler=False,  # Lightning's repeats samples; the data module shards the batches itself
        num_sanity_val_steps=0,  # its batches are no whole split, which the metrics need
    )
    return trainer


def _fit(trainer: L.Trainer, module: L.LightningModule, data: RetrievalDataModule, checkpoint: str | None) -> None:
    try:
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint)
    except MisconfigurationException as error:
        raise UsageError(" ".join(str(error).split())) from error
    except RuntimeError as error:
        if "conditioned on metric" not in str(error):  # EarlyStopping's refusal of a monitor that is not logged
            raise
        raise UsageError(" ".join(str(error).split())) from error
