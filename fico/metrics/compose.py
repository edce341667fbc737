"""Metrics from their description in a config: class and arguments."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from importlib import import_module
from inspect import isclass
from itertools import product
from typing import Any, get_origin, get_type_hints

from fico.errors import FicoError, UsageError
from fico.metrics.specification import RetrievalMetric


def build_metrics(nodes: Mapping[str, Any], prefix: str = "metrics.") -> tuple[RetrievalMetric, ...]:
    """Metrics of a config in its order.

    Args:
        nodes: By any name ``_target_``, the dotted path of a metric's class, and its arguments. A list where the class
            takes a single value makes a metric for each value: ``k: [1, 5]`` gives R@1 and R@5. None leaves a metric
            of another config out.
        prefix: What the user types before a name.

    Raises:
        UsageError: A node names no metric, its arguments do not fit, or two metrics have one name; its key is named.
    """
    metrics: dict[tuple[str, str], RetrievalMetric] = {}
    for key, node in nodes.items():
        for metric in _metrics_of(f"{prefix}{key}", node) if node is not None else ():
            if (metric.task, metric.name) in metrics:
                raise UsageError(f"{prefix}{key} is a second {metric.task} metric {metric.name}; give it another name")
            metrics[metric.task, metric.name] = metric
    return tuple(metrics.values())


def describe_metrics(metrics: Iterable[RetrievalMetric]) -> dict[str, dict[str, Any]]:
    """Metrics as `build_metrics` takes them, by task and name."""
    return {
        f"{metric.task}/{metric.name}": {
            "_target_": f"{type(metric).__module__}.{type(metric).__qualname__}",
            **asdict(metric),  # type: ignore[call-overload]
        }
        for metric in metrics
    }


def _metrics_of(path: str, node: Any) -> Iterator[RetrievalMetric]:
    if not isinstance(node, Mapping) or "_target_" not in node:
        raise UsageError(f"{path} is {node!r}, but must be _target_: CLASS and its arguments; null leaves it out")
    kind = _class(path, str(node["_target_"]))
    arguments = {str(name): value for name, value in node.items() if name != "_target_"}
    try:
        lists = {name: tuple(value) for name, value in arguments.items() if isinstance(value, list | tuple)}
        hints = get_type_hints(kind.__init__)
        several = {name: values for name, values in lists.items() if get_origin(hints.get(name)) is not tuple}
        for values in product(*several.values()):
            yield kind(**{**arguments, **lists, **dict(zip(several, values, strict=True))})
    except FicoError:
        raise
    except Exception as error:  # whatever a constructor of a user's class raises
        raise UsageError(f"{path} cannot be built: {' '.join(str(error).split())}") from error


def _class(path: str, target: str) -> type[RetrievalMetric]:
    """The class of a metric, and nothing else: a results file that names another object is not followed."""
    module, _, name = target.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except Exception as error:  # an import can fail in any way
        raise UsageError(f"{path}._target_ {target!r} cannot be imported ({error})") from error
    if not (isclass(found) and issubclass(found, RetrievalMetric)):
        raise UsageError(f"{path}._target_ {target!r} is no class of metrics; give a subclass of PerQueryMetric")
    return found
