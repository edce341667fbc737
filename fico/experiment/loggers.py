"""Loggers that never ask, never hang and are always closed."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger

from fico.experiment.build import build

log = logging.getLogger(__name__)
INIT_SECONDS = "15"


@contextmanager
def open_loggers(config: DictConfig | None, folder: Path, run: dict[str, Any]) -> Iterator[list[Logger]]:
    """Open the configured loggers for one run and close them whatever happens.

    Args:
        config: The ``logger`` node.
        folder: The run's folder, into which all of them write.
        run: What W&B shows of the run: name, group, job_type, tags, config.

    Yields:
        The loggers. W&B goes offline, with a line in the log, when its service cannot be reached.
    """
    loggers: list[Logger] = []
    is_finished = False
    try:
        for name in ("wandb", "csv"):
            if config and name in config:
                make = _wandb if name == "wandb" else _csv
                loggers.append(make(config[name], folder, run))
        yield loggers
        is_finished = True
    finally:
        if config and "wandb" in config:
            import wandb

            wandb.finish(exit_code=0 if is_finished else 1)


def _csv(config: DictConfig, folder: Path, run: dict[str, Any]) -> CSVLogger:
    logger: CSVLogger = build(config)(save_dir=str(folder))
    return logger


def _wandb(config: DictConfig, folder: Path, run: dict[str, Any]) -> Logger:
    import wandb

    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_INIT_TIMEOUT", INIT_SECONDS)
    wandb.setup()  # reads these before Lightning's logger makes it print advice to developers
    arguments = {**run, "save_dir": str(folder)}
    make = build(config)
    logger: WandbLogger = make(**arguments)
    try:
        _ = logger.experiment  # starts the run
    except Exception as error:  # W&B must never cost a result
        log.warning("W&B cannot be reached (%s); this run is logged offline", _first_line(error))
        logger = make(**arguments, mode="offline")
        _ = logger.experiment
    return logger


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
