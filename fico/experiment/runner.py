"""One run, from a checked config to the files of its folder."""

import inspect
import logging
import sys
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as L
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import ModelCheckpoint, RichProgressBar
from pytorch_lightning.loggers import Logger

from fico.datasets.base import RetrievalDataset
from fico.errors import UsageError
from fico.experiment.build import build
from fico.experiment.checkpoint import build_module, check_checkpoint, fill_sizes, weights_origin
from fico.experiment.config import DATASET_EXTRAS
from fico.experiment.datamodule import RetrievalDataModule
from fico.experiment.loggers import open_loggers
from fico.experiment.outputs import write_config, write_outputs
from fico.experiment.sweep import content_key, is_finished
from fico.features import model_inputs
from fico.features.text.authors_vocabulary import AuthorsWords

log = logging.getLogger(__name__)


def run(config: DictConfig) -> Path:
    """Train, encode, evaluate and report as the config says.

    Args:
        config: Checked by `fico.experiment.config.check_config`.

    Returns:
        The run's folder, whose path is also the last line of standard output. ``results.json`` is in it.

    Raises:
        FicoError: Whatever the user can mend.
    """
    begin = time.perf_counter()
    started = datetime.now(UTC).isoformat(timespec="seconds")
    _quiet()
    _refuse_swept_ddp(config)
    L.seed_everything(config.seed, workers=True, verbose=False)
    folder = Path(HydraConfig.get().runtime.output_dir)
    data = _data(config)
    OmegaConf.set_readonly(config, False)
    config.model.module = fill_sizes(config.model.module, data.inputs.sizes)
    key = content_key(
        OmegaConf.to_container(config, resolve=True),  # type: ignore[arg-type]
        [*(split.fingerprint for split in data.splits.values()), *_files(config.model), *data.inputs.origin.values()],
    )
    if is_finished(folder, key):
        log.info("%s holds the results of the same config, data and code; nothing to do", folder)
        return _told(folder)
    write_config(folder, config)
    with open_loggers(config.logger, folder, _shown(config)) as loggers:
        trainer, callbacks = _train_and_test(folder, config, data, loggers)
    if trainer.is_global_zero:
        if "test" in config.stage:
            seconds = time.perf_counter() - begin
            write_outputs(folder, config, data, callbacks, key=key, started=started, seconds=seconds)
        _told(folder)
    return folder


def _files(model: DictConfig) -> list[str]:
    """Hashes of the weights that a run starts from, whose path alone does not say what is in them."""
    given = [weights_origin(path) or {} for path in (model.weights, model.checkpoint)]
    return [digest for files in given for digest in files.values()]


def _told(folder: Path) -> Path:
    sys.stdout.write(f"{folder.resolve()}\n")
    sys.stdout.flush()
    return folder


def _data(config: DictConfig) -> RetrievalDataModule:
    dataset: RetrievalDataset = build(
        {key: value for key, value in config.dataset.items() if key not in DATASET_EXTRAS}
    )
    tested = config.dataset.split
    # Training text features (vocabulary, Doc2Vec) are needed to test too, hence always the training split.
    names = dict.fromkeys(("train", "val", tested) if "fit" in config.stage else ("train", tested))
    splits = {name: dataset.split(name) for name in names}
    given = {str(side): node for side, node in config.model.inputs.items()}
    readers = {side: build(node) if isinstance(node, DictConfig) else node for side, node in given.items()}
    if config.model.get("vocabulary"):
        readers["text"] = AuthorsWords(config.model.vocabulary)
    inputs = model_inputs(dataset, list(splits), **readers)
    return RetrievalDataModule(splits, inputs, test_split=tested, batch_size=config.model.batch_size, seed=config.seed)


def _train_and_test(
    folder: Path, config: DictConfig, data: RetrievalDataModule, loggers: list[Logger]
) -> tuple[L.Trainer, dict[str, L.Callback]]:
    module = build_module(config.model)
    monitor = _monitor(config, data)
    best = ModelCheckpoint(folder / "checkpoints", filename="best", monitor=monitor, mode="max", save_last=True)
    is_terminal = sys.stdout.isatty()
    callbacks = _callbacks(folder, config, data, monitor)
    trainer: L.Trainer = build(
        config.trainer,
        callbacks=[*callbacks.values(), best, *([RichProgressBar()] if is_terminal else [])],
        logger=loggers,
        default_root_dir=str(folder),
        max_epochs=config.model.epochs,
        gradient_clip_val=config.model.gradient_clip,
        use_distributed_sampler=False,  # Lightning's repeats items; the data module deals its own shares
        num_sanity_val_steps=0,
        enable_model_summary=False,
        enable_progress_bar=is_terminal,
        log_every_n_steps=10,
    )
    checkpoint = config.model.checkpoint
    if checkpoint:
        check_checkpoint(Path(checkpoint), module, data.splits["train"].fingerprint)
    if "fit" in config.stage:
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint)
        checkpoint = best.best_model_path
    if "test" in config.stage:
        _in_half_precision(module, config.model.get("precision"), trainer.strategy.root_device.type)
        trainer.test(module, datamodule=data, ckpt_path=checkpoint, verbose=False)
    return trainer, callbacks


def _in_half_precision(module: L.LightningModule, precision: str | None, device: str) -> None:
    """Let encoding and pair scoring multiply in half precision; search and metrics around them stay as they are."""
    if precision is None:
        return
    autocast = torch.autocast(device, dtype={"bf16": torch.bfloat16, "fp16": torch.float16}[precision])
    for name in ("test_step", "score", "match"):
        if hasattr(module, name):
            setattr(module, name, autocast(getattr(module, name)))


def _callbacks(folder: Path, config: DictConfig, data: RetrievalDataModule, monitor: str) -> dict[str, L.Callback]:
    """Build the callbacks in order, handing to each constructor what it asks for by name."""
    model: dict[str, Any] = OmegaConf.to_container(config.model, resolve=True)  # type: ignore[assignment]
    given: dict[str, Any] = {
        "folder": folder,
        "model": model,
        "similarity": model["similarity"],
        "bits": model.get("bits"),
        "monitor": monitor,
        "rerank": model.get("rerank"),
        "metric": OmegaConf.to_container(config.metric, resolve=True),
        "indexes": {name: partial(build, index) for name, index in (config.get("index") or {}).items()},
        "origin": {
            "model": model["name"],
            "config": model,
            "features": data.inputs.origin,
            "weights": weights_origin(model["weights"]),
        },
        "fingerprint": data.splits["train"].fingerprint,
    }
    callbacks: dict[str, L.Callback] = {}
    for name, node in config.callbacks.items():
        make: Callable[..., L.Callback] = build(node)
        wanted = inspect.signature(make).parameters
        callbacks[str(name)] = make(**{key: value for key, value in (given | callbacks).items() if key in wanted})
    return callbacks


def _monitor(config: DictConfig, data: RetrievalDataModule) -> str:
    """The validation metric that selects the best epoch; the instance one where the data have no labels."""
    wanted = str(config.model.monitor)
    is_known = wanted.startswith("val/instance/") or data.splits["train"].labels is not None
    if is_known and wanted.split("/")[1] in config.metric.tasks:
        return wanted
    task = "instance" if "instance" in config.metric.tasks else "category"
    instead = {"instance": "val/instance/mean/R@10", "category": "val/category/mean/mAP@N"}[task]
    log.info("the best epoch is chosen by %s: %s is not measured here", instead, wanted)
    return instead


def _shown(config: DictConfig) -> dict[str, Any]:
    """What W&B shows of the run."""
    hydra = HydraConfig.get()
    is_sweep = hydra.mode is RunMode.MULTIRUN
    return {
        "name": config.name,
        "group": Path(hydra.sweep.dir).name if is_sweep else None,
        "job_type": "+".join(config.stage),
        "tags": [config.model.family, str(config.dataset._target_).rsplit(".", maxsplit=1)[-1].lower()],
        "config": OmegaConf.to_container(config, resolve=True),
    }


def _refuse_swept_ddp(config: DictConfig) -> None:
    """Rank 1 would start the whole sweep a second time."""
    if HydraConfig.get().mode is RunMode.MULTIRUN and config.trainer.get("strategy") == "ddp":
        raise UsageError("trainer=ddp does not work in a sweep; use trainer.strategy=ddp_spawn or one run per job")


def _quiet() -> None:
    """Keep the advice that Lightning gives to developers out of the user's log."""
    for advice in (
        ".*does not have many workers.*",  # features are read from memory; workers would only cost
        ".*suggested max number of worker.*",  # the data module counts the cores itself
        ".*Experiment logs directory .* exists.*",  # ours: Hydra has made it
        ".*Checkpoint directory .* exists.*",
        ".*number of training batches .* is smaller than the logging interval.*",
        ".*The dirpath has changed from.*",  # a checkpoint of another run, as was asked for
        ".*LeafSpec.*",  # a deprecation inside Lightning
    ):
        warnings.filterwarnings("ignore", advice)
    for chatty in ("pytorch_lightning.utilities.rank_zero", "gensim", "faiss"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
