"""Loggers that never prompt, never hang and are always closed."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from pytorch_lightning.loggers import Logger, WandbLogger

from fico.errors import UsageError
from fico.experiment.build import build
from fico.experiment.loggers.wandb_service import finish_in_time, service_problem

log = logging.getLogger(__name__)
INIT_SECONDS = "5"
METRICS = "metrics.csv"
STAGING = "WANDB_DATA_DIR"
# Read here, as W&B itself reads them once in a process and prefers what its logger says.
WANDB_VARIABLES = {"name": "WANDB_NAME", "group": "WANDB_RUN_GROUP", "job_type": "WANDB_JOB_TYPE", "tags": "WANDB_TAGS"}
LOGGED = (
    "log_metrics", "log_hyperparams", "log_graph", "log_table", "log_image", "save", "after_save_checkpoint",
    "finalize", "log_run", "log_lines", "close",
)  # fmt: skip


@contextmanager
def open_loggers(config: DictConfig | None, folder: Path, run: dict[str, Any]) -> Iterator[list[Logger]]:
    """Open the configured loggers for one run and close them whatever happens.

    Args:
        config: The ``logger`` node: loggers of Lightning by name. A key that is null takes the run's value:
            ``save_dir`` the folder, those of W&B and Trackio what ``run`` says unless W&B's own environment variable is
            set; every other value is the config's own.
        folder: The run's folder.
        run: What W&B and Trackio show of the run, by `fico.experiment.loggers.run_metadata.run_metadata`.

    Yields:
        The loggers. W&B goes offline, with a line in the log, when its service cannot be reached. A logger that fails
        later is muted with a warning.

    Raises:
        UsageError: A logger cannot be built.
    """
    nodes = {str(name): node for name, node in (config or {}).items() if isinstance(node, DictConfig)}
    is_finished = False
    with _staging(folder / "wandb"):
        opened: list[Logger] = []
        try:
            opened += (_guard(name, _open(name, node, folder, run)) for name, node in nodes.items())
            yield opened
            is_finished = True
        finally:
            if "wandb" in nodes:
                _finish_wandb(exit_code=0 if is_finished else 1)
            for logger in opened:
                if hasattr(logger, "close"):
                    logger.close()


@contextmanager
def _staging(folder: Path) -> Iterator[None]:
    """Let tables and artifacts of W&B wait for their upload beside the run, unless its variable says where."""
    if STAGING in os.environ:
        yield
        return
    os.environ[STAGING] = str(folder)
    try:
        yield
    finally:
        del os.environ[STAGING]


def keep_metrics(folder: Path) -> None:
    """Rename the ``metrics.csv`` of a part of the run to ``metrics-1.csv``, as Lightning's logger would replace it."""
    if (folder / METRICS).exists():
        number = 1 + len(list(folder.glob("metrics-*.csv")))
        (folder / METRICS).rename(folder / f"metrics-{number}.csv")


def _open(name: str, node: DictConfig, folder: Path, run: dict[str, Any]) -> Logger:
    about = _own(run) if name == "wandb" else run if name == "trackio" else {}
    values = {"save_dir": str(folder), **about}
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
    os.environ.setdefault("OTEL_SDK_DISABLED", "true")  # its own telemetry, which waits for the service at the exit
    wandb.setup()  # reads these before Lightning's logger makes it print advice to developers
    problem = service_problem() if (node | run).get("mode") == "online" else None
    if problem is None:
        logger: WandbLogger = build(node, **run)
        try:
            _ = logger.experiment  # starts the run
            return logger
        except Exception as error:  # W&B must never cost a result
            problem = _first_line(error)
    try:
        logger = build(node | {"mode": "offline"}, **run)
        _ = logger.experiment
    except Exception as error:  # what is wrong with its keys W&B says in several lines
        reason = " ".join(line.strip() for line in str(error).splitlines()[:3])
        raise UsageError(
            f"W&B does not take what logger.wandb says: {reason}; correct it, or add logger=csv"
        ) from error
    log.warning("W&B cannot be reached (%s); this run is logged offline", problem)
    return logger


def _finish_wandb(exit_code: int) -> None:
    error = finish_in_time(exit_code)
    if error is not None:
        log.warning("W&B could not finish its run: %s; `wandb sync` uploads what is in the run's folder wandb/", error)


def _own(run: dict[str, Any]) -> dict[str, Any]:
    """The run's values, or those of W&B's own variables."""
    found: dict[str, Any] = {key: os.environ.get(name) for key, name in WANDB_VARIABLES.items()}
    if found["tags"]:
        found["tags"] = [tag.strip() for tag in found["tags"].split(",")]
    return run | {key: value for key, value in found.items() if value}


def _guard(name: str, logger: Logger) -> Logger:
    """Let a failing logger cost its own records and nothing else."""
    muted = False

    def guarded(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal muted
            if muted:
                return None
            try:
                return method(*args, **kwargs)
            except Exception as error:
                muted = True
                log.warning("logger.%s is muted, as it failed: %s: %s", name, type(error).__name__, _first_line(error))
                return None

        return call

    for method in LOGGED:
        if hasattr(logger, method):
            setattr(logger, method, guarded(getattr(logger, method)))
    return logger


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
