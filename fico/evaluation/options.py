"""Options of an evaluation: every default and every allowed value, once; one check with one sentence per error."""

import difflib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypedDict, get_args

import numpy as np

from fico.errors import UsageError
from fico.metrics.specification import (
    TASKS,
    Correction,
    Denominator,
    Empty,
    Median,
    RecallKind,
    RetrievalMetric,
    Task,
    Ties,
)

Engine = Literal["auto", "compiled", "torch"]


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """What an evaluation computes, and how. Two evaluations are the same if what they compute is.

    Args:
        tasks: ``instance``, ``category`` or both.
        ties: Tie rule: ``expected`` is the exact mean over all orders of equal scores, ``optimistic`` and
            ``pessimistic`` rank relevant items first and last in every tied block (orders, so for AP@K over ``hits``
            not always the largest and smallest value), ``index`` ranks lower rows first. Where ties matter,
            ``RetrievalResult.tie_bounds`` has the pessimistic and the optimistic value, whatever the rule.
        ap: Denominator of AP@K: ``hits``, the relevant items among the first K; ``min_k_r``, min(K, all relevant
            items); ``r``, all relevant items.
        empty: Category queries without relevant item count ``zero``, are left out (``skip``) or are an ``error``.
        recall: R@K: ``any`` relevant item found (hit rate), or the ``fraction`` of a query's relevant items.
        median: MedR as ``floor`` (of the 0-based median, plus 1, as in the literature) or ``exact``.
        recall_at: Cut-offs of R@K; one beyond the gallery finds everything, and a note says so.
        map_at: Cut-offs of mAP@K; mAP@N over the whole ranking is always there.
        metrics: All metrics, as objects: those of ``fico.metrics`` or your own. None takes
            ``fico.metrics.defaults.default_metrics``, to which ``ap``, ``recall``, ``median``, ``recall_at`` and
            ``map_at`` apply, with mAP@R and R-Precision where queries may have any number of positives; in a list
            each metric has its own arguments.
        folds: Contiguous folds of the images with their captions, each its own gallery; a metric is the mean over the
            folds. 5 gives COCO's 1K protocol.
        hubness_correction: ``nnn`` gives the instance metrics once more with corrected scores, as ``nnn/i2t/R@1``; see
            `fico.evaluation.hubness.nnn.nnn_rows`. ``dual_softmax`` likewise, see
            `fico.evaluation.hubness.dual_softmax.dual_softmax_bias`. Both take a bank of the training split.
        nnn_k: Neighbours in the bank.
        nnn_alpha: Weight of the correction.
        softmax_temperature: Of ``dual_softmax``, in units of the score.
        bootstrap: Resamples of the 95 % intervals, over images with all their captions; 0 gives no intervals.
        seed: Seed of the resamples.
        device: Device that compares embeddings: ``cpu``, ``cuda`` or another of torch; ``auto`` is where they are.
            Score matrices are evaluated on the CPU, unless ``engine`` is ``torch``.
        engine: ``compiled`` is the kernels of the CPU, ``torch`` runs on any device, the CPU too; ``auto`` takes the
            kernels on the CPU and torch elsewhere.
        memory_limit: Bytes beyond the inputs; ``fico.evaluation.memory.plan_memory`` predicts the need. None takes
            512 MiB on the CPU, and on a GPU half of what is free there, 8 GiB at most.
        block: Queries per block; None plans it from the limit.
        progress: Show a progress bar with the remaining time.
        shard: ``(rank, world size)``: evaluate the queries of this process alone; ``merge_results`` joins them.

    Raises:
        UsageError: An option has a value that it cannot have; all of them are named.
    """

    tasks: tuple[Task, ...] = TASKS
    ties: Ties = "expected"
    ap: Denominator = "hits"
    empty: Empty = "zero"
    recall: RecallKind = "any"
    median: Median = "floor"
    recall_at: tuple[int, ...] = (1, 5, 10, 50, 100, 200)
    map_at: tuple[int, ...] = (10, 100)
    metrics: tuple[RetrievalMetric, ...] | None = None
    folds: int = 1
    hubness_correction: Correction | None = None
    nnn_k: int = 16
    nnn_alpha: float = 0.5
    softmax_temperature: float = 0.1
    bootstrap: int = 1000
    seed: int = 0
    device: str = field(default="auto", compare=False)
    engine: Engine = field(default="auto", compare=False)
    memory_limit: int | None = field(default=None, compare=False)
    block: int | None = field(default=None, compare=False)
    progress: bool = field(default=False, compare=False)
    shard: tuple[int, int] = field(default=(0, 1), compare=False)

    def __post_init__(self) -> None:
        values = {option.name: getattr(self, option.name) for option in fields(self)}
        if problems := list(option_problems(values)):
            raise UsageError("; ".join(problems))
        for name in ("recall_at", "map_at"):
            object.__setattr__(self, name, tuple(sorted(int(k) for k in values[name])))
        for name in ("tasks", "shard", *(["metrics"] if self.metrics is not None else [])):
            object.__setattr__(self, name, tuple(values[name]))

    @property
    def listed(self) -> tuple[RetrievalMetric, ...]:
        """Every metric of every task, those of the defaults included."""
        if self.metrics is not None:
            return self.metrics
        from fico.metrics.defaults import default_metrics  # imports torch, which checks of options do without

        return default_metrics(self.recall_at, self.map_at, self.recall, self.ap, self.median)

    def with_many_positives(self) -> "EvaluationOptions":
        """The default metrics and those that are made for several positives a query: mAP@R and R-Precision."""
        if self.metrics is not None:
            return self
        from fico.metrics.at_all_relevant import AveragePrecisionAtR, RPrecision

        return replace(self, metrics=(*self.listed, AveragePrecisionAtR(), RPrecision()))

    def columns(self, task: Task) -> tuple[str, ...]:
        """Names of a task's values per query."""
        from fico.evaluation.columns import task_columns

        return task_columns(self.listed, task).names

    def keywords(self) -> dict[str, Any]:
        """The options by name."""
        return {option.name: getattr(self, option.name) for option in fields(self)}


class OptionKeywords(TypedDict, total=False):
    """The options as keywords of ``evaluate`` and ``evaluate_scores``; ``EvaluationOptions`` has their meaning."""

    tasks: Sequence[Task]
    ties: Ties
    ap: Denominator
    empty: Empty
    recall: RecallKind
    median: Median
    recall_at: Sequence[int]
    map_at: Sequence[int]
    metrics: Sequence[RetrievalMetric] | None
    folds: int
    hubness_correction: Correction | None
    nnn_k: int
    nnn_alpha: float
    softmax_temperature: float
    bootstrap: int
    seed: int
    device: str
    engine: Engine
    memory_limit: int | None
    block: int | None
    progress: bool
    shard: tuple[int, int]


def bind_options(options: Mapping[str, Any]) -> EvaluationOptions:
    """Options by name as ``EvaluationOptions``.

    Raises:
        UsageError: There is no such option, or it has a value that it cannot have; all of them are named.
    """
    if problems := list(option_problems(options)):
        raise UsageError("; ".join(problems))
    return EvaluationOptions(**options)


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
