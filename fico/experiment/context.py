"""From a config and its data to the run's context and the callbacks that take it."""

import logging
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as L
from omegaconf import DictConfig, OmegaConf

from fico.errors import UsageError
from fico.experiment.build import build
from fico.experiment.checkpoints.module import weights_origin
from fico.experiment.datamodule import RetrievalDataModule
from fico.experiment.metrics import chosen_monitor, metric_options
from fico.run_context import RunContext

log = logging.getLogger(__name__)


def run_context(folder: Path, config: DictConfig, data: RetrievalDataModule, key: str = "") -> RunContext:
    """Everything that the callbacks of a run need to know.

    Args:
        folder: The run's folder.
        config: The composed config, with the sizes that come from the data.
        data: The splits and features of the run.
        key: Digest of config, data and code.
    """
    model: dict[str, Any] = OmegaConf.to_container(config.model, resolve=True)  # type: ignore[assignment]
    options, wanted = metric_options(config), str(config.model.monitor)
    monitor = chosen_monitor(wanted, options, has_labels=data.splits["train"].labels is not None)
    if monitor != wanted and "fit" in config.stage:
        log.info("the best epoch is chosen by %s: %s is not measured here", monitor, wanted)
    return RunContext(
        folder=folder,
        model=model,
        metric=options,
        positives=dict((config.metric.get("positives") or {}).items()),
        monitor=monitor,
        indexes={str(name): partial(build, index) for name, index in (config.get("index") or {}).items()},
        origin={
            "model": model["name"],
            "config": model,
            "features": data.inputs.origin,
            "weights": weights_origin(model["weights"]),
        },
        fingerprint=data.splits["train"].fingerprint,
        key=key,
        is_evaluated="encode" not in config.stage,
    )


def build_callbacks(nodes: DictConfig, context: RunContext) -> list[L.Callback]:
    """Build the configured callbacks in order.

    Args:
        nodes: The ``callbacks`` node. A callback with a key ``context`` that is null takes the run's; every other
            argument is the config's own.
        context: The run's.

    Raises:
        UsageError: A node cannot be built, or is no Lightning callback; its key is named.
    """
    callbacks = []
    for key, node in nodes.items():
        if node is None:
            continue
        arguments = {name: value for name, value in node.items() if name != "_partial_"}
        takes_context = "context" in arguments and arguments["context"] is None
        callback = build(arguments, context=context) if takes_context else build(arguments)
        if not isinstance(callback, L.Callback):
            raise UsageError(f"callbacks.{key!s} is a {type(callback).__name__}, but must be a callback of Lightning")
        callbacks.append(callback)
    return callbacks
