"""Which values the options of an evaluation can have: one check for each, with one sentence for an error."""

import difflib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np

from fico.metrics.specification import (
    TASKS,
    Correction,
    Denominator,
    Empty,
    Median,
    RecallKind,
    RetrievalMetric,
    Ties,
)

Engine = Literal["auto", "compiled", "torch"]


def option_problems(options: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """One sentence for each option that does not exist or has a value that it cannot have.

    Args:
        options: Some options by name.
        prefix: What the user types before a name, such as ``metric.``.
    """
    for name, value in options.items():
        if name not in _CHECKS:
            close = difflib.get_close_matches(str(name), _CHECKS, n=1)
            meant = f"did you mean {prefix}{close[0]}?" if close else f"the options are {', '.join(_CHECKS)}"
            yield f"unknown option {prefix}{name}; {meant}"
        elif wanted := _CHECKS[name](value):
            yield f"{prefix}{name}={value!r} must be {wanted}"


_Check = Callable[[Any], str | None]  # what a value must be, where it is not that


def _choice(kind: Any) -> _Check:
    allowed = get_args(kind)
    wanted = f"one of {', '.join(allowed)}"
    return lambda value: None if value in allowed else wanted


def _whole(least: int, most: int | None = None) -> _Check:
    wanted = f"a whole number of at least {least}" if most is None else f"a whole number from {least} to {most}"
    return lambda value: None if _is_whole(value, least, most) else wanted


def _whole_or_none(value: Any) -> str | None:
    return None if value is None or _is_whole(value, 1) else "None or a whole number of at least 1"


def _is_whole(value: Any, least: int, most: int | None = None) -> bool:
    is_number = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return is_number and value >= least and (most is None or value <= most)


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _tasks(value: Any) -> str | None:
    is_valid = _is_sequence(value) and len(value) > 0 and all(task in TASKS for task in value)
    return None if is_valid and len(set(value)) == len(value) else f"a list of one or more of {', '.join(TASKS)}"


def _cutoffs(value: Any) -> str | None:
    is_valid = _is_sequence(value) and all(_is_whole(k, 1) for k in value) and len(set(value)) == len(value)
    return None if is_valid else "a list of different whole numbers from 1, such as (1, 5, 10)"


def _metrics(value: Any) -> str | None:
    if value is None:
        return None
    wanted = "None or a list of metrics, such as fico.metrics.recall.Recall(10)"
    if not (_is_sequence(value) and len(value) and all(isinstance(metric, RetrievalMetric) for metric in value)):
        return wanted
    names = [(metric.task, metric.name) for metric in value]
    twice = [f"{task} {name}" for task, name in dict.fromkeys(names) if names.count((task, name)) > 1]
    return f"metrics of different names, and has two of {', '.join(twice)}" if twice else None


def _correction(value: Any) -> str | None:
    wanted = None if value is None else _choice(Correction)(value)
    return wanted and f"{wanted}, or None (null in a config) for no correction"


def _shard(value: Any) -> str | None:
    is_pair = _is_sequence(value) and len(value) == 2 and all(_is_whole(part, 0) for part in value)
    return None if is_pair and value[0] < value[1] else "(rank, world size) with 0 <= rank < world size"


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)


_CHECKS: dict[str, _Check] = {
    "tasks": _tasks,
    "ties": _choice(Ties),
    "ap": _choice(Denominator),
    "empty": _choice(Empty),
    "recall": _choice(RecallKind),
    "median": _choice(Median),
    "recall_at": _cutoffs,
    "map_at": _cutoffs,
    "metrics": _metrics,
    "folds": _whole(1),
    "hubness_correction": _correction,
    "nnn_k": _whole(1),
    "nnn_alpha": lambda value: None if _is_positive(value) else "a positive number, such as 0.5",
    "softmax_temperature": lambda value: None if _is_positive(value) else "a positive number, such as 0.1",
    "bootstrap": _whole(0),
    "seed": _whole(0, 2**63 - 1),
    "device": lambda value: None if isinstance(value, str) else "auto, cpu, cuda or another device of torch",
    "engine": _choice(Engine),
    "memory_limit": _whole_or_none,
    "block": _whole_or_none,
    "progress": lambda value: None if isinstance(value, bool) else "True or False",
    "shard": _shard,
}
