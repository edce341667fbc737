"""Which runs are seeds of one setting, and what their average is."""

import hashlib
import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fico.report.results.schema import Metric, Results

# What changes no number, or is told in another way: paths of the data by their fingerprint.
_NO_MATTER = ("seed", "name", "logger", "callbacks", "index", "stage")
_NO_MATTER_INSIDE = {
    "metric": ("bootstrap", "memory_limit"),
    "dataset": ("root", "expected", "expected_captions", "model_size", "rerank_k"),  # the model's node has the last two
    "trainer": ("accelerator",),
}
_RULES = ("ties", "ap", "empty", "recall", "median", "folds")
MODELS = ("blip2", "blip2_nf", "beit3", "xvlm", "xvlm_nf", "imram", "vsrn", "scan", "adv", "ucch", "dadh")
LONGEST_DIFFERENCE = 3  # keys that a label spells out


@dataclass(frozen=True, slots=True)
class Protocol:
    """What numbers must share to stand in one column: the data, its split and the definitions.

    Args:
        data: Name of the data set.
        split: Name of the split.
        fingerprint: Of the split's content.
        images: Count.
        captions: Count.
        rules: Definitions that differ from the defaults, as ``ties=optimistic``.
    """

    data: str
    split: str
    fingerprint: str
    images: int
    captions: int
    rules: tuple[str, ...]

    @classmethod
    def of(cls, results: Results) -> "Protocol":
        """The protocol of a run."""
        data = results.data
        return cls(data.name, data.split, data.fingerprint, data.images, data.captions, _rules(results))

    @property
    def words(self) -> str:
        """Data set, split, counts, and the definitions that are not the defaults."""
        if self.split == "bench":  # vectors that were made for it, with neither images nor captions
            return f"{self.captions:,} {self.data} queries in {self.images:,} items, {self.fingerprint}"
        told = f"{self.data} {self.split}: {self.images:,} images, {self.captions:,} captions"
        return told + "".join(f", {rule}" for rule in self.rules)


@dataclass(frozen=True, slots=True)
class Score:
    """A number of a setting: one run's with its interval, or the mean over seeds with their standard deviation.

    Args:
        value: In the unit of the metric.
        seeds: How many runs it is the mean of.
        low: Lower end of the 95 % interval; None for a mean over seeds.
        high: Upper end.
        spread: Sample standard deviation over the seeds; None for one run.
    """

    value: float
    seeds: int
    low: float | None = None
    high: float | None = None
    spread: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Setting:
    """Runs that differ by their seed alone.

    Args:
        runs: Results in the order of the seeds.
        told: What tells it from another setting of the same model and code length; empty where nothing need to.
    """

    runs: tuple[Results, ...]
    told: str = ""

    @property
    def name(self) -> str:
        """The model, with what tells this setting apart."""
        return f"{self.first.model.name}{f' ({self.told})' if self.told else ''}"

    @property
    def label(self) -> str:
        """Model, code length and what tells this setting apart; two settings of one list never share it."""
        return f"{_name(self.first)}{f' ({self.told})' if self.told else ''}"

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
    if len(metrics) == 1:
        return Score(metrics[0].value, 1, metrics[0].low, metrics[0].high)
    return _mean([metric.value for metric in metrics])


def identity(results: Results) -> str:
    """Hash of everything but the seed that a run's numbers depend on, code left aside."""
    digest = hashlib.sha256(results.data.fingerprint.encode())
    model = results.model
    digest.update(json.dumps([model.name, model.bits, model.size, _counted(results.config)], sort_keys=True).encode())
    return digest.hexdigest()


def settings(runs: Sequence[Results]) -> list[Setting]:
    """Groups runs that differ by their seed alone, in the order of the paper's tables, then by bits.

    Where two settings have the same model, size and bits, their labels say which keys of the config differ.
    """
    groups: dict[str, list[Results]] = {}
    for run in runs:
        groups.setdefault(identity(run), []).append(run)
    ordered = sorted((sorted(group, key=lambda run: run.seed) for group in groups.values()), key=_order)
    return [Setting(tuple(group), told) for group, told in zip(ordered, _told_apart(ordered), strict=True)]


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
    place = MODELS.index(name) if name in MODELS else len(MODELS)
    return place, name, first.model.size or "", first.model.bits or 0, first.data.name, first.started


def _name(results: Results) -> str:
    if results.model.name == "none":  # the search bench
        return "vectors"
    bits = f", {results.model.bits} bits" if results.model.bits else ""
    return f"{results.model.name}{bits}"


def _told_apart(groups: Sequence[Sequence[Results]]) -> list[str]:
    """For each setting the leaves of the config in which it differs from others of its name, or a number."""
    names = [_name(group[0]) for group in groups]
    leaves = [dict(_leaves(_counted(group[0].config))) for group in groups]
    told = []
    for name, own in zip(names, leaves, strict=True):
        alike = [other for rival, other in zip(names, leaves, strict=True) if rival == name]
        paths = [path for path, value in own.items() if any(other.get(path) != value for other in alike)]
        words = [f"{_short(path)}={_plain(own[path])}" for path in paths[:LONGEST_DIFFERENCE]]
        told.append(", ".join([*words, *(["..."] if len(paths) > LONGEST_DIFFERENCE else [])]))
    pairs = list(zip(names, told, strict=True))
    return [
        words if pairs.count(pair) == 1 else ", ".join(filter(None, (words, f"#{pairs[:place].count(pair) + 1}")))
        for place, (pair, words) in enumerate(zip(pairs, told, strict=True))
    ]


def _plain(value: Any) -> str:
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)


def _short(path: str) -> str:
    return path.removeprefix("model.").removeprefix("module.")


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, node


def _rules(results: Results) -> tuple[str, ...]:
    usual = {"ties": "expected", "ap": "hits", "empty": "zero", "recall": "any", "median": "floor", "folds": 1}
    metric = results.config.get("metric") or {}
    return tuple(f"{rule}={metric[rule]}" for rule in _RULES if rule in metric and metric[rule] != usual[rule])


def _counted(config: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in config.items() if key not in _NO_MATTER}
    for group, keys in _NO_MATTER_INSIDE.items():
        if isinstance(kept.get(group), Mapping):
            kept[group] = {key: value for key, value in kept[group].items() if key not in keys}
    counted: dict[str, Any] = _without_seeds(kept)
    return counted


def _without_seeds(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _without_seeds(value) for key, value in node.items() if key != "seed"}
    return node
