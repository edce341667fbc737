"""The metrics that a config lists."""

from typing import Any

from omegaconf import DictConfig, OmegaConf

from fico.errors import UsageError
from fico.metrics.compose import build_metrics


def metric_options(config: DictConfig) -> dict[str, Any]:
    """Options of the evaluation by name, with the metrics of the node ``metric.metrics`` as objects.

    Raises:
        UsageError: A metric cannot be built, or none is listed for a task that is evaluated; its key is named.
    """
    options: dict[str, Any] = OmegaConf.to_container(config.metric, resolve=True)  # type: ignore[assignment]
    options.pop("positives", None)  # data, which are read with the split
    if options.get("metrics") is None:
        return options
    metrics = build_metrics(options["metrics"], "metric.metrics.")
    for task in options.get("tasks", ()):
        if not any(metric.task == task for metric in metrics):
            raise UsageError(f"metric.tasks has {task}, but metric.metrics lists no metric of it; leave the task out")
    return options | {"metrics": metrics}
