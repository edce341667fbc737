"""One row for each run of a sweep."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from fico.errors import DataError
from fico.report.results.schema import Results, read_results
from fico.report.results.seeds import is_untrained
from fico.report.table.run_tables import WIDTH, seconds_text, shown
from fico.util.atomic import atomic_write

METRICS = ("category/i2t/mAP@N", "category/t2i/mAP@N", "instance/i2t/R@10", "instance/t2i/R@10")


def print_sweep(folder: Path) -> None:
    """Print model, bits, seed, the four main metrics in percent, bytes per item and encoding time of every run.

    Args:
        folder: The sweep's folder; every subfolder with a ``results.json`` gives one row.
    """
    table = Table(title=f"Sweep {folder.name}", box=SIMPLE_HEAD, padding=(0, 1), title_justify="left")
    for heading in ("model", "bits", "data", "seed"):
        table.add_column(heading, no_wrap=True)
    for name in METRICS:
        task, direction, metric = name.split("/")
        table.add_column(f"{metric}\n{direction}", justify="right", no_wrap=True)
    table.add_column("bytes\nan item", justify="right", no_wrap=True)
    table.add_column("encode", justify="right", no_wrap=True)
    for results in _sorted(folder):
        values = [results.metric(name) for name in METRICS]
        table.add_row(
            results.model.name,
            str(results.model.bits or "-"),
            results.data.name,
            str(results.seed),
            *("-" if m is None else shown(name, m.value) for name, m in zip(METRICS, values, strict=True)),
            f"{bytes_per_item(results):g}",
            seconds_text(results.efficiency.get("encode_seconds", 0.0)),
        )
    console = Console(width=WIDTH, highlight=False)
    console.print(table)
    if any(is_untrained(results) for results in _sorted(folder)):
        console.print("Without weights or checkpoint stage=[test] is untrained: times and sizes alone count.")


def write_sweep(folder: Path) -> None:
    """Write the same rows, as fractions with their intervals, to ``sweep.csv``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    spans = [f"{name}{end}" for name in METRICS for end in ("", " low", " high")]
    writer.writerow(["folder", "model", "bits", "data", "seed", *spans, "bytes_per_item", "encode_seconds"])
    for results in _sorted(folder):
        metrics = [results.metric(name) for name in METRICS]
        values = [getattr(metric, end, "") for metric in metrics for end in ("value", "low", "high")]
        model = (results.name, results.model.name, results.model.bits or "", results.data.name, results.seed)
        writer.writerow([*model, *values, bytes_per_item(results), results.efficiency.get("encode_seconds", "")])
    with atomic_write(folder / "sweep.csv") as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8", newline="")


def bytes_per_item(results: Results) -> float:
    """Stored embedding bytes of one image or caption; codes count eight bits a byte."""
    size: float = results.efficiency["embedding_bytes"] / (results.data.images + results.data.captions)
    return size


def _sorted(folder: Path) -> list[Results]:
    return sorted(_finished(folder), key=lambda r: (r.data.name, r.model.name, r.model.bits or 0, r.seed, r.name))


def _finished(folder: Path) -> Iterator[Results]:
    for path in sorted(folder.glob("*/results.json")):
        try:
            yield read_results(path)
        except DataError:  # of an older release; its job will run again
            continue
