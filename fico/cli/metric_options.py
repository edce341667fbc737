"""Cut-offs and further metrics of the command line, as options of an evaluation."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fico.errors import UsageError
from fico.evaluation.options import EvaluationOptions
from fico.metrics.compose import build_metrics, describe_metrics


def further_options(
    recall_at: str | None, map_at: str | None, metrics: Sequence[str], options: Mapping[str, Any], *, is_many: bool
) -> dict[str, Any]:
    """Options of ``--recall-at``, ``--map-at`` and ``--metric``, those that were given.

    Args:
        recall_at: Cut-offs with commas.
        map_at: The same.
        metrics: ``CLASS[:NAME=VALUE,...]`` each, which join the default metrics.
        options: Definitions that the default metrics take, by name.
        is_many: Queries have any number of positives.

    Raises:
        UsageError: A cut-off is no whole number, or a metric cannot be built.
    """
    given = {"--recall-at": recall_at, "--map-at": map_at}
    found: dict[str, Any] = {_key(name): _cuts(name, text) for name, text in given.items() if text is not None}
    if not metrics:
        return found
    usual = EvaluationOptions(**found, **{name: options[name] for name in ("recall", "ap", "median")})
    nodes = describe_metrics((usual.with_many_positives() if is_many else usual).listed)
    nodes |= {text: _node(text) for text in metrics}
    build_metrics(nodes, "--metric ")  # refused before a file is read
    return found | {"metrics": nodes}


def built(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of an evaluation, with the metrics as objects in place of their description."""
    nodes = options.get("metrics")
    return dict(options) if nodes is None else {**options, "metrics": build_metrics(nodes, "--metric ")}


def _key(name: str) -> str:
    return name.removeprefix("--").replace("-", "_")


def _cuts(name: str, text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) for part in parts) or len(set(map(int, parts))) < len(parts):
        raise UsageError(f"{name} {text!r} must be different whole numbers from 1 with commas, such as 1,5,10")
    return tuple(map(int, parts))


def _node(text: str) -> dict[str, Any]:
    target, _, arguments = text.partition(":")
    node: dict[str, Any] = {"_target_": target}
    for argument in filter(None, arguments.split(",")):
        name, equals, value = argument.partition("=")
        if not equals:
            raise UsageError(f"--metric {text!r} must be CLASS or CLASS:NAME=VALUE,...; {argument!r} has no =")
        node[name] = _value(value)
    return node


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
