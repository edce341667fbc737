"""Runs grouped by everything but their seed, and their averages."""

import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from fico.metrics.specification import Unit
from fico.report.results.identity import config_leaves, identity, relevant_config
from fico.report.results.metric import Metric
from fico.report.results.schema import Results

MODELS = ("blip2", "blip2_nf", "beit3", "xvlm", "xvlm_nf", "imram", "vsrn", "scan", "adv", "ucch", "dadh")
LONGEST_DIFFERENCE = 3  # keys that a label spells out
# Sizes that a network takes from its features, and what names those again: they follow from another key.
_FOLLOWING = ("image_dim", "text_dim", "vocab_size", "classes", "regions", "train_pairs", "loss.source", "loss.kind")
_STARTED = re.compile(r"(\d\d-\d\d-\d\d-\d+|\d+)-")  # time or number before the name of a run's folder


@dataclass(frozen=True, slots=True)
class Score:
    """A number of a group: one run's with its interval, or the mean over seeds with their standard deviation.

    Args:
        value: In the unit of the metric.
        seeds: How many runs it is the mean of.
        low: Lower end of the 95 % interval; None for a mean over seeds.
        high: Upper end.
        spread: Sample standard deviation over the seeds; None for one run.
        unit: Of the metric.
        higher_is_better: Whether the highest value is the best.
    """

    value: float
    seeds: int
    low: float | None = None
    high: float | None = None
    spread: float | None = None
    unit: Unit = "fraction"
    higher_is_better: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class SeedGroup:
    """Runs that differ by their seed alone.

    Args:
        runs: Results in the order of the seeds.
        difference: Config keys that distinguish it from another group of the same model and code length; else empty.
    """

    runs: tuple[Results, ...]
    difference: str = ""

    @property
    def name(self) -> str:
        """The model, with the config keys that distinguish this group."""
        return f"{self.first.model.name}{f' ({self.difference})' if self.difference else ''}"

    @property
    def label(self) -> str:
        """Model, code length and the config keys that distinguish this group; unique in a list of groups."""
        return f"{_name(self.first)}{f' ({self.difference})' if self.difference else ''}"

    @property
    def first(self) -> Results:
        """The run of the first seed, for what all have in common."""
        return self.runs[0]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the runs."""
        return tuple(run.seed for run in self.runs)

    def score(self, name: str) -> Score | None:
        """Value of the metric ``{task}/{direction}/{metric}`` over the runs that have it, or None."""
        found = [metric for run in self.runs if (metric := run.metric(name)) is not None]
        return score_of(found) if found else None

    def cost(self, name: str) -> Score | None:
        """Mean of an entry of ``efficiency`` over the runs that have it, or None."""
        values = [run.efficiency[name] for run in self.runs if run.efficiency.get(name) is not None]
        return _mean(values) if values else None


def score_of(metrics: Sequence[Metric]) -> Score:
    """One metric as it is, several as their mean."""
    first = metrics[0]
    score = _mean([metric.value for metric in metrics])
    if len(metrics) == 1:
        score = Score(first.value, 1, first.low, first.high)
    return replace(score, unit=first.unit, higher_is_better=first.higher_is_better)


def group_seeds(runs: Sequence[Results]) -> list[SeedGroup]:
    """Groups runs that differ by their seed alone, in the order of the paper's tables, then by bits.

    Where two groups have the same model, size and bits, their labels say which keys of the config differ.
    """
    groups: dict[str, list[Results]] = {}
    for run in runs:
        groups.setdefault(identity(run), []).append(run)
    ordered = sorted((sorted(group, key=lambda run: run.seed) for group in groups.values()), key=_order)
    return [SeedGroup(tuple(group), found) for group, found in zip(ordered, _differences(ordered), strict=True)]


def is_untrained(results: Results) -> bool:
    """Whether the model was tested with the weights it was made with, so that only its times and sizes count."""
    stage: Sequence[str] = results.config.get("stage") or ()
    model: Mapping[str, Any] = results.config.get("model") or {}
    return bool(stage) and "fit" not in stage and not model.get("weights") and not model.get("checkpoint")


def _mean(values: Sequence[float]) -> Score:
    mean = math.fsum(values) / len(values)
    return Score(mean, len(values), spread=statistics.stdev(values) if len(values) > 1 else None)


def _order(group: list[Results]) -> tuple[Any, ...]:
    first = group[0]
    name = first.model.name.replace("(nf)", "_nf").split("(")[0]  # the authors' files say xvlm(nf) and adv(64bit)
    position = MODELS.index(name) if name in MODELS else len(MODELS)
    return position, name, first.model.size or "", first.model.bits or 0, first.data.name, first.started


def _name(results: Results) -> str:
    if results.model.name == "none":  # the search bench
        return "vectors"
    bits = f", {results.model.bits} bits" if results.model.bits else ""
    return f"{results.model.name}{bits}"


def _differences(groups: Sequence[Sequence[Results]]) -> list[str]:
    """For each group the leaves of the config in which it differs from others of its name, or a number."""
    names = [_name(group[0]) for group in groups]
    leaves = [dict(config_leaves(relevant_config(group[0].config))) for group in groups]
    found = []
    for name, own in zip(names, leaves, strict=True):
        alike = [other for rival, other in zip(names, leaves, strict=True) if rival == name]
        differing = [path for path, value in own.items() if any(other.get(path) != value for other in alike)]
        paths = [path for path in differing if not path.endswith(_FOLLOWING)] or differing
        keys = [f"{_short(path)}={_plain(path, own[path])}" for path in paths[:LONGEST_DIFFERENCE]]
        found.append(", ".join([*keys, *(["..."] if len(paths) > LONGEST_DIFFERENCE else [])]))
    pairs = list(zip(names, found, strict=True))
    return [
        keys if pairs.count(pair) == 1 else ", ".join(filter(None, (keys, f"#{pairs[:number].count(pair) + 1}")))
        for number, (pair, keys) in enumerate(zip(pairs, found, strict=True))
    ]


def _plain(path: str, value: Any) -> str:
    if path == "model.source" and value is not None:
        return _STARTED.sub("", PurePath(value).name, count=1)
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)


def _short(path: str) -> str:
    return path.removeprefix("model.").removeprefix("module.")
