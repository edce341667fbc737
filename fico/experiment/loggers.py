"""Loggers that never prompt, never hang and are always closed."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from pytorch_lightning.loggers import Logger, WandbLogger

from fico.experiment.build import build

log = logging.getLogger(__name__)
INIT_SECONDS = "15"


@contextmanager
def open_loggers(config: DictConfig | None, folder: Path, run: dict[str, Any]) -> Iterator[list[Logger]]:
    """Open the configured loggers for one run and close them whatever happens.

    Args:
        config: The ``logger`` node: loggers of Lightning by name. A key that is null takes the run's value:
            ``save_dir`` the folder, those of W&B what ``run`` says; every other value is the config's own.
        folder: The run's folder.
        run: What W&B shows of the run: name, group, job_type, tags, config.

    Yields:
        The loggers. W&B goes offline, with a line in the log, when its service cannot be reached.

    Raises:
        UsageError: A logger cannot be built.
    """
    nodes = {str(name): node for name, node in (config or {}).items() if isinstance(node, DictConfig)}
    is_finished = False
    try:
        yield [_open(name, node, folder, run) for name, node in nodes.items()]
        is_finished = True
    finally:
        if "wandb" in nodes:
            import wandb

            wandb.finish(exit_code=0 if is_finished else 1)


def _open(name: str, node: DictConfig, folder: Path, run: dict[str, Any]) -> Logger:
    values = {"save_dir": str(folder), **(run if name == "wandb" else {})}
    missing = {key: value for key, value in values.items() if key in node and node[key] is None}
    arguments = {str(key): value for key, value in node.items() if key != "_partial_"}
    if name == "wandb":
        return _open_wandb(arguments, missing)
    logger: Logger = build(arguments, **missing)
    return logger


def _open_wandb(node: dict[str, Any], run: dict[str, Any]) -> Logger:
    import wandb

    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_INIT_TIMEOUT", INIT_SECONDS)
    wandb.setup()  # reads these before Lightning's logger makes it print advice to developers
    logger: WandbLogger = build(node, **run)
    try:
        _ = logger.experiment  # starts the run
    except Exception as error:  # W&B must never cost a result
        log.warning("W&B cannot be reached (%s); this run is logged offline", _first_line(error))
        logger = build(node, **run, mode="offline")
        _ = logger.experiment
    return logger


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
