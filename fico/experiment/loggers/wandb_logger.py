"""Lightning's logger of W&B with few keys, each with its axis and the direction in which it is better."""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import WandbLogger

from fico.evaluation.result import RadiusCurve
from fico.experiment.loggers.curves import curves
from fico.experiment.loggers.wandb_tables import line_series, metrics_table, sample_tables
from fico.metrics.specification import DIRECTIONS
from fico.report.html.samples import QuerySample
from fico.report.results.schema import Results


class ReadableWandbLogger(WandbLogger):  # type: ignore[misc]
    """Logs what a table of runs has room for; ``metrics.csv`` and ``results.json`` hold every number.

    Of a validation epoch the mean of both directions is logged, of a test each direction. Hubness of a validation
    epoch and what ``left_out`` names are not. Of what epochs log, W&B's summary holds the best value and the last.

    Args:
        left_out: Patterns of the metrics, as ``PR@*``, and of whole keys, as ``search/i2t/*``, that are not logged; an
            empty list logs everything.
        lower_is_better: Names of the metrics, as ``MedR``, that are best at their lowest; a loss always is.
        options: Of Lightning's ``WandbLogger``.
    """

    def __init__(
        self, *, left_out: Sequence[str] | None = None, lower_is_better: Sequence[str] | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self._left_out = tuple(left_out or ())
        self._lower_is_better = tuple(lower_is_better or ())
        self._defined: set[str] = set()

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Logs the numbers that are not left out, and tables and images, which come this way too."""
        kept = {
            name: value
            for name, value in metrics.items()
            if not isinstance(value, int | float) or self._is_kept(name, metrics)
        }
        self._define(kept)
        if set(kept) - {"epoch"}:
            super().log_metrics(kept, step)

    def log_lines(self, key: str, lines: Mapping[str, Sequence[tuple[float, float]]], title: str, across: str) -> None:
        """Logs a chart with one line for each name; nothing without any.

        Args:
            key: Of the chart.
            lines: Points ``(x, y)`` by the line's name.
            title: Of the chart.
            across: What the horizontal axis shows.
        """
        if lines:
            self.experiment.log({key: line_series(lines, title, across)})

    def log_run(
        self,
        results: Results,
        samples: Sequence[QuerySample],
        radii: Mapping[str, RadiusCurve],
        files: Mapping[str, str | Path],
    ) -> None:
        """Logs tables of metrics and sample queries, curves as line series, and the files as an artifact.

        Args:
            results: Of a tested run.
            samples: Sample queries with what they found.
            radii: Precision and recall per Hamming radius, by ``category/{direction}``.
            files: By name in the artifact the path of a file, or its text.
        """
        import wandb

        run = self.experiment
        run.log({"metrics": metrics_table(results), **sample_tables(samples)})
        for key, (lines, title, across) in curves(results, radii).items():
            self.log_lines(f"curves/{key}", lines, title, across)
        artifact = wandb.Artifact(f"run-{run.id}", type="results", metadata={"name": results.name, "key": results.key})
        for name, content in files.items():
            if isinstance(content, Path):
                artifact.add_file(str(content), name=name)
            else:
                with artifact.new_file(name, encoding="utf-8") as file:
                    file.write(content)
        run.log_artifact(artifact)

    def _define(self, names: Iterable[str]) -> None:
        """Axis and direction of what epochs log; units are in the names, fractions are from 0 to 1."""
        for name in names:
            if name.startswith(("train/", "val/")) and name not in self._defined:
                is_lowest = name.startswith("train/") or name.rpartition("/")[2] in self._lower_is_better
                best = "min" if is_lowest else "max"
                self.experiment.define_metric(name, step_metric="epoch", step_sync=True, summary=f"{best},last")
                self._defined.add(name)

    def _is_kept(self, name: str, metrics: Mapping[str, float]) -> bool:
        parts = name.split("/")
        if any(fnmatchcase(name, pattern) or fnmatchcase(parts[-1], pattern) for pattern in self._left_out):
            return False
        if not self._left_out or len(parts) != 4 or parts[2] not in (*DIRECTIONS, "mean"):
            return True
        split, task, way, metric = parts
        if split == "val":
            return task != "hubness" and (way == "mean" or f"{split}/{task}/mean/{metric}" not in metrics)
        return way != "mean"
