"""What W&B and other loggers show of a run besides its numbers: name, group, tags, config."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from fico.evaluation.options import bind_options
from fico.experiment.config.resolvers import dataset_name, setting_name
from fico.report.results.display import unprinted
from fico.report.results.identity import relevant_config
from fico.run_context import RunContext

# Of the search comparison the costs of each index from text to image are numbers; the rest is in its table and lines.
SEARCH_LEFT_OUT = tuple(f"search/{rest}" for rest in ("i2t/*", "*/both/*", "*_cpu_seconds", "*_in_*", "*_at_*", "*@*"))


def run_metadata(config: DictConfig, context: RunContext) -> dict[str, Any]:
    """What ``open_loggers`` fills in where the config of a logger is silent.

    Args:
        config: The composed config.
        context: The run's.
    """
    model, bits, data = context.model, context.bits, dataset_name(config)
    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    digest = hashlib.sha256(json.dumps(relevant_config(plain), sort_keys=True).encode()).hexdigest()
    facts = {
        "setting": f"{setting_name(config)} {digest[:8]}",  # equal for runs that differ by their seed alone
        "model_name": model["name"],
        "family": model["family"],
        "size": model["size"],
        "bits": bits,
        "data": data,
    }
    metrics = bind_options(context.metric).listed
    return {
        "name": str(config.name),
        "group": _group(),
        "job_type": "+".join(config.stage),
        "tags": [model["name"], model["family"], model["size"], data, *([f"{bits} bits"] if bits else [])],
        "config": facts | plain,
        "left_out": [*unprinted(context.metric.get("recall_at")), "PR@*", *SEARCH_LEFT_OUT],
        "lower_is_better": [metric.name for metric in metrics if not metric.higher_is_better],
    }


def bench_metadata(config: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a bench, whose numbers are in its table and lines alone.

    Args:
        config: Resolved, as plain values.
    """
    about = {
        "name": str(config["name"]),
        "group": _group(),
        "job_type": "bench",
        "tags": ["search"],
        "config": dict(config),
    }
    return about | {"left_out": ["bench/*"]}


def cascade_metadata(config: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a cascade of two runs.

    Args:
        config: Resolved, as plain values.
    """
    about = {"name": str(config["name"]), "group": _group(), "job_type": "cascade", "tags": ["cascade"]}
    return about | {"config": dict(config), "left_out": ["PR@*"]}


def _group() -> str | None:
    """The name of the sweep; None for a single run."""
    hydra = HydraConfig.get()
    return Path(hydra.sweep.dir).name if hydra.mode is RunMode.MULTIRUN else None
