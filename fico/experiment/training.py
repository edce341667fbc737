"""Training and testing: the trainer, its checkpoints and its precision."""

import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as L
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins.precision import MixedPrecision

from fico.errors import UsageError
from fico.experiment.build import build
from fico.experiment.checkpoints.best_and_last import BestCheckpoint, LastCheckpoint
from fico.experiment.checkpoints.module import build_module, check_checkpoint, load_checkpoint, tested_state
from fico.experiment.config.throughput import AUTO
from fico.experiment.context import build_callbacks
from fico.experiment.datamodule import RetrievalDataModule
from fico.experiment.notes import training_notes
from fico.experiment.progress_bar import EpochBar
from fico.experiment.resume.checkpoint_file import AtomicCheckpoints
from fico.experiment.resume.random_state import RandomState
from fico.experiment.resume.stages import record_training, resumed_checkpoint, store_encoded
from fico.experiment.resume.unfinished import Unfinished
from fico.experiment.throughput import compile_network, fit_evaluation_batch
from fico.networks.checkpoint_io.load import load_strictly
from fico.run_context import RunContext
from fico.util.compute.torch_settings import set_float32_precision
from fico.util.quiet import is_quiet

log = logging.getLogger(__name__)
MIXED: dict[str, Literal["bf16-mixed", "16-mixed"]] = {"bf16": "bf16-mixed", "fp16": "16-mixed"}


@dataclass(frozen=True, slots=True, eq=False)
class Tested:
    """A finished trainer.

    Args:
        trainer: Of all stages.
        notes: How the training ended, and which weights were tested.
    """

    trainer: L.Trainer
    notes: tuple[str, ...]


def train_and_test(
    config: DictConfig,
    data: RetrievalDataModule,
    context: RunContext,
    loggers: list[Logger],
    unfinished: Unfinished | None = None,
) -> Tested:
    """Run the stages of the config; what the test measured is in ``context.outputs``.

    Args:
        config: The composed config, with the sizes that come from the data.
        data: The splits and features of the run.
        context: The run's.
        loggers: Open ones.
        unfinished: How far the run came in its folder before; None starts anew and stores nothing to go on with.

    Raises:
        FicoError: Whatever the user can fix.
    """
    set_float32_precision(config.throughput.matmul_precision)
    module = build_module(config.model)
    network: Any = module.network
    if config.throughput.compile is not None:
        compile_network(network, config.throughput.compile)
    tested = resumed_checkpoint(context, unfinished) or (
        Path(config.model.checkpoint) if config.model.checkpoint else None
    )
    is_trained = "fit" not in config.stage or (unfinished is not None and unfinished.fitted is not None)
    if tested is not None:
        check_checkpoint(tested, module, context.fingerprint, is_tested=is_trained)
    folder = context.folder / "checkpoints"
    best = BestCheckpoint(folder, context.monitor, None if is_trained else tested)
    last = LastCheckpoint(folder, is_own=tested is not None and tested.is_relative_to(folder))
    callbacks = [RandomState(), *build_callbacks(config.callbacks, context), best, last]
    trainer = _trainer(config, callbacks, loggers, context.folder)
    notes: list[str] = list((unfinished and unfinished.fitted or {}).get("notes", ()))
    if not is_trained:
        if not (config.model.checkpoint or config.model.weights) and config.model.get("warm_start"):
            notes.append(build(config.model.warm_start).apply(network, data.splits["train"], data.inputs))
        _fit(trainer, module, data, tested)
        notes += training_notes(trainer)
        saved = best.best_model_path or last.best_model_path  # neither where a finished training was resumed
        tested = Path(saved) if saved else tested
        if not best.best_model_path:
            notes.append(f"no epoch was validated by {context.monitor}, so the last weights are the run's")
        if unfinished is not None and trainer.is_global_zero:
            record_training(unfinished, tested, notes)
    if "test" in config.stage or "encode" in config.stage:
        notes.append(_load_tested(module, tested, config.model.weights))
        use_test_precision(trainer, config.model.get("precision"))
        if config.throughput.evaluation_batch == AUTO:
            fit_evaluation_batch(trainer, module, data)
        if unfinished is not None:
            store_encoded(trainer, module, data, context)
        _test(trainer, module, data, context)
    return Tested(trainer, tuple(notes))


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
    options: dict[str, Any] = {
        "_convert_": "all",
        "enable_progress_bar": sys.stderr.isatty() and not is_quiet(),
        "enable_model_summary": False,
    }
    options |= {str(key): value for key, value in config.trainer.items()}
    if options["enable_progress_bar"]:
        callbacks = [*callbacks, EpochBar()]
    trainer: L.Trainer = build(
        options,
        plugins=[*(options.pop("plugins", None) or []), AtomicCheckpoints()],
        callbacks=callbacks,
        logger=loggers,
        default_root_dir=str(folder),
        max_epochs=config.model.epochs,
        gradient_clip_val=config.model.gradient_clip,
        use_distributed_sampler=False,  # Lightning's repeats samples; the data module shards the batches itself
        num_sanity_val_steps=0,  # its batches are no whole split, which the metrics need
    )
    # Lightning's handler of SIGTERM waits for the other processes and drops the exit code; run.py has its own.
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    return trainer


@contextmanager
def _all_processes(trainer: L.Trainer) -> Iterator[None]:
    """End the other processes that Lightning started with this one: they would wait for it."""
    try:
        yield
    except BaseException:
        if trainer.strategy.launcher is not None:
            trainer.strategy.launcher.kill(signal.SIGTERM)
        raise


def _fit(trainer: L.Trainer, module: L.LightningModule, data: RetrievalDataModule, checkpoint: Path | None) -> None:
    try:
        with _all_processes(trainer):
            trainer.fit(module, datamodule=data, ckpt_path=checkpoint)
    except MisconfigurationException as error:
        raise UsageError(" ".join(str(error).split())) from error
    except RuntimeError as error:
        if "conditioned on metric" not in str(error):  # EarlyStopping's refusal of a monitor that is not logged
            raise
        raise UsageError(" ".join(str(error).split())) from error
    if trainer.global_step == 0:
        raise UsageError("the training took no step, so there are no trained weights to test; allow it more batches")


def _load_tested(module: L.LightningModule, path: Path | None, weights: str | None) -> str:
    """Load the weights of a checkpoint as everybody who reads the file sees them, and say which they are.

    Lightning's own loading would let a callback that averages weights put the raw ones in their place.
    """
    if path is None:
        return f"weights tested: {'those of model.weights' if weights else 'untrained, so times and sizes alone count'}"
    checkpoint = load_checkpoint(path)
    load_strictly(module, tested_state(module, checkpoint["state_dict"]), path)
    kind = ", averaged over the steps" if "averaging_state" in checkpoint else ""
    return f"weights tested: {path.name} of epoch {checkpoint['epoch'] + 1}{kind}"


def _test(trainer: L.Trainer, module: L.LightningModule, data: RetrievalDataModule, context: RunContext) -> None:
    """Run the test epoch. What fails after the metrics are there costs what follows it, but not them."""
    split = data.splits[data.test_split]
    times = data.copies or 1
    counts = f"{times * len(split.image_ids):,} images, {times * len(split.caption_ids):,} captions"
    if trainer.is_global_zero:
        log.info(
            "%s %s %s: %s", "testing on" if context.is_evaluated else "encoding", split.dataset, split.name, counts
        )
    try:
        with _all_processes(trainer):
            trainer.test(module, datamodule=data, verbose=False)
    except Exception as error:
        if context.outputs.result is None:
            raise
        log.debug("after the evaluation", exc_info=error)
        reason = " ".join(str(error).split())
        log.warning("the test ended early, after its metrics: %s: %s", type(error).__name__, reason)
