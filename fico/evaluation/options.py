"""Options of an evaluation: every option and its default, once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypedDict

from fico.errors import UsageError
from fico.evaluation.option_checks import Engine, option_problems
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
        shard: ``(rank, world size)``: evaluate the queries of this process alone; ``merge_results`` joins them. The
            metrics of a shard without queries are NaN.

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
