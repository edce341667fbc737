"""What numbers must share to be compared in one column: data, split and definitions."""

from dataclasses import dataclass

from fico.evaluation.options import EvaluationOptions
from fico.report.results.schema import Results

_DEFINITIONS = ("ties", "ap", "empty", "recall", "median", "folds")  # options that change what a number means


@dataclass(frozen=True, slots=True)
class Protocol:
    """What numbers must share to be compared in one column: the data, its split and the definitions.

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
    def description(self) -> str:
        """Data set, split, counts, and the definitions that are not the defaults."""
        if self.split == "bench":  # vectors that were made for it, with neither images nor captions
            return f"{self.captions:,} {self.data} queries in {self.images:,} items, {self.fingerprint}"
        text = f"{self.data} {self.split}: {self.images:,} images, {self.captions:,} captions"
        return text + "".join(f", {rule}" for rule in self.rules)


def _rules(results: Results) -> tuple[str, ...]:
    metric, usual = results.config.get("metric") or {}, EvaluationOptions()
    return tuple(
        f"{name}={metric[name]}" for name in _DEFINITIONS if name in metric and metric[name] != getattr(usual, name)
    )
