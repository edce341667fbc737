"""The metrics that a config lists, and the one of them by which the best epoch is chosen."""

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fico.errors import UsageError
from fico.evaluation.options import bind_options
from fico.metrics.compose import build_metrics
from fico.metrics.defaults import default_metrics
from fico.metrics.metric import PerQueryMetric
from fico.metrics.specification import RetrievalMetric

_USUAL = {"instance": "R@10", "category": "mAP@N"}


def metric_options(config: DictConfig) -> dict[str, Any]:
    """Options of the evaluation by name, with the metrics of the node ``metric.metrics`` as objects.

    Raises:
        UsageError: A metric cannot be built, or none is listed for a task that is evaluated; its key is named. Or the
            model's scores cannot be corrected.
    """
    options: dict[str, Any] = OmegaConf.to_container(config.metric, resolve=True)  # type: ignore[assignment]
    options.pop("positives", None)  # data, which are read with the split
    if options.get("hubness_correction") is not None:
        _check_correction(config)
    if options.get("metrics") is None:
        return options
    if not isinstance(options["metrics"], Mapping):
        raise UsageError(f"metric.metrics is {options['metrics']!r}, but must be metrics by name, each with a _target_")
    metrics = build_metrics(options["metrics"], "metric.metrics.")
    for task in options.get("tasks", ()):
        if not any(metric.task == task for metric in metrics):
            raise UsageError(f"metric.tasks has {task}, but metric.metrics lists no metric of it; leave the task out")
    return options | {"metrics": metrics}


def _check_correction(config: DictConfig) -> None:
    """A correction takes embeddings that inner products compare, and the instance task."""
    model, wanted = config.model, f"metric.hubness_correction={config.metric.hubness_correction}"
    if model.get("query_time_attention") or model.get("rerank") is not None:
        raise UsageError(f"{wanted} corrects embeddings, but {model.name} scores pairs; leave it out")
    if model.similarity not in ("cosine", "inner"):
        raise UsageError(
            f"{wanted} corrects cosine or inner products, but model.similarity is {model.similarity}; leave it out"
        )
    if "instance" not in config.metric.tasks:
        raise UsageError(f"{wanted} corrects the instance task, which metric.tasks leaves out; take metric=both")


def chosen_monitor(wanted: str, options: Mapping[str, Any], *, has_labels: bool) -> str:
    """The validation metric that selects the best epoch, by its highest value.

    Args:
        wanted: ``val/TASK/DIRECTION/METRIC``, or ``val/TASK/METRIC`` of both directions. Names that are no metric of
            the default list, such as what a callback logs, are left as they are.
        options: Of `metric_options`.
        has_labels: Whether the data have what the category task needs.

    Returns:
        ``wanted``, or the usual metric of a task where it is not measured.

    Raises:
        UsageError: The lowest value of that metric is the best.
    """
    bound = bind_options(options)
    task, name = wanted.split("/")[1], wanted.rpartition("/")[2]
    metric = next((each for each in bound.listed if (each.task, each.name) == (task, name)), None)
    if metric is not None and not metric.higher_is_better:
        raise UsageError(
            f"model.monitor={wanted} is best at its lowest, but the epoch of the highest is kept; take R@K"
        )
    is_evaluated = task in bound.tasks and (task == "instance" or has_labels)
    is_default = any((each.task, each.name) == (task, name) for each in default_metrics())
    if is_evaluated and (metric is not None or not is_default):
        return wanted
    instead = task if is_evaluated else "instance" if "instance" in bound.tasks else "category"
    return f"val/{instead}/mean/{_usual(bound.listed, instead)}"


def _usual(listed: Sequence[RetrievalMetric], task: str) -> str:
    """The usual metric of a task if it is listed, else the last of its kind, else any in which higher is better."""
    names = [m.name for m in listed if isinstance(m, PerQueryMetric) and m.task == task and m.higher_is_better]
    if not names:
        raise UsageError(f"no metric of the {task} task can choose the best epoch; list one in which higher is better")
    kind = _USUAL[task].partition("@")[0]
    alike = [name for name in names if name.partition("@")[0] == kind]
    return _USUAL[task] if _USUAL[task] in names else (alike or names)[-1]
