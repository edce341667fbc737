"""What the loggers record of a finished run: times and sizes, interval and chance of the main metrics, files."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pytorch_lightning.loggers import Logger

from fico.evaluation.result import RadiusCurve
from fico.experiment.folder import PAGE
from fico.metrics.specification import DIRECTIONS
from fico.report.html.samples import QuerySample
from fico.report.results.schema import RESULTS, Results

MAIN = {"instance": "R@10", "category": "mAP@N"}  # the metric of each task whose interval and chance are logged


def log_finished(
    loggers: Iterable[Logger],
    results: Results,
    text: str,
    samples: Sequence[QuerySample],
    radii: Mapping[str, RadiusCurve],
    folder: Path,
) -> None:
    """Log ``efficiency/{name}`` and the interval and chance of the main metrics to every logger.

    One that has ``log_run``, as that of W&B, takes the results with sample queries and files too.

    Args:
        loggers: Open ones.
        results: Of a tested run.
        text: Of ``results.json``, which is written when the loggers are closed.
        samples: Sample queries with what they found.
        radii: Precision and recall per Hamming radius, by ``category/{direction}``.
        folder: The run's, with ``report.html``.
    """
    sizes = {
        f"efficiency/{name}": float(value)
        for name, value in results.efficiency.items()
        if isinstance(value, int | float)
    }
    files = {RESULTS: text, **({PAGE: folder / PAGE} if (folder / PAGE).exists() else {})}
    for logger in loggers:
        logger.log_metrics(sizes | main_intervals(results))
        logger.save()
        if hasattr(logger, "log_run"):
            logger.log_run(results, samples, radii, files)


def main_intervals(results: Results) -> dict[str, float]:
    """Ends of the 95 % interval and level of chance of the main metrics, as ``test/instance/i2t/low/R@10``."""
    found: dict[str, float | None] = {}
    for task, name in MAIN.items():
        for way in DIRECTIONS:
            metric, chance = (results.metric(f"{task}/{way}/{key}") for key in (name, f"chance/{name}"))
            if metric is not None:
                parts = {"low": metric.low, "high": metric.high, "chance": chance.value if chance else None}
                found |= {f"{results.data.split}/{task}/{way}/{part}/{name}": value for part, value in parts.items()}
    return {name: value for name, value in found.items() if value is not None}
