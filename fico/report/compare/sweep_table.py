"""A sweep: one row for each setting on the terminal, its seeds averaged, and one for each run in ``sweep.csv``."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from fico.errors import DataError
from fico.report.results.schema import Results, read_results
from fico.report.results.score_cell import score_cell
from fico.report.results.seeds import SeedGroup, group_seeds, is_untrained
from fico.report.table.table import NOTHING, Column, Row, Table, text_cells
from fico.report.table.terminal import print_table
from fico.util.atomic import atomic_write
from fico.util.units import seconds_text

METRICS = ("category/i2t/mAP@N", "category/t2i/mAP@N", "instance/i2t/R@10", "instance/t2i/R@10")


def print_sweep(folder: Path) -> None:
    """Prints model, bits, seeds, the four main metrics in percent, bytes per item and encoding time of every setting.

    Args:
        folder: The sweep's folder; every subfolder with a ``results.json`` is one run.
    """
    print_table(sweep_table(folder.name, _sorted(folder)))


def sweep_table(name: str, runs: Sequence[Results]) -> Table:
    """One row for each setting; runs that differ by their seed alone are averaged, with their standard deviation.

    Args:
        name: Of the sweep.
        runs: All of them.
    """
    groups = sorted(group_seeds(runs), key=lambda group: (group.first.data.name, _order(group.first)))
    columns = (
        *(Column(heading, is_text=True) for heading in ("model", "bits", "data", "seeds")),
        *(Column("\n".join(reversed(metric.split("/")[1:]))) for metric in METRICS),
        Column("bytes\nper item"),
        Column("encode"),
    )
    note = "Without weights or checkpoint stage=[test] is untrained: times and sizes alone count."
    spread = "±: standard deviation over the seeds; after the value of one run its 95 % interval."
    notes = (*((spread,) if groups else ()), *((note,) if any(map(is_untrained, runs)) else ()))
    return Table("sweep", f"Sweep {name}", columns, tuple(map(_row, groups)), notes)


def write_sweep(folder: Path) -> None:
    """Writes the same rows, as fractions with their intervals, to ``sweep.csv``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    spans = [f"{name}{end}" for name in METRICS for end in ("", " low", " high")]
    writer.writerow(["folder", "model", "bits", "data", "seed", *spans, "bytes_per_item", "encode_seconds"])
    runs = _sorted(folder)
    names = {id(run): group.name for group in group_seeds(runs) for run in group.runs}
    for results in runs:
        metrics = [results.metric(name) for name in METRICS]
        values = [getattr(metric, end, "") for metric in metrics for end in ("value", "low", "high")]
        model = (results.name, names[id(results)], results.model.bits or "", results.data.name, results.seed)
        writer.writerow([*model, *values, bytes_per_item(results), results.efficiency.get("encode_seconds", "")])
    with atomic_write(folder / "sweep.csv") as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8", newline="")


def bytes_per_item(results: Results) -> float:
    """Stored embedding bytes of one image or caption; codes count eight bits a byte."""
    size: float = results.efficiency["embedding_bytes"] / (results.data.images + results.data.captions)
    return size


def _row(group: SeedGroup) -> Row:
    first, encode = group.first, group.cost("encode_seconds")
    seeds = ", ".join(map(str, group.seeds))
    facts = text_cells(group.name, str(first.model.bits or NOTHING), first.data.name, seeds)
    metrics = (score_cell(group.score(name), len(group.runs)) for name in METRICS)
    costs = text_cells(f"{bytes_per_item(first):g}", NOTHING if encode is None else seconds_text(encode.value))
    return Row((*facts, *metrics, *costs))


def _sorted(folder: Path) -> list[Results]:
    return sorted(_finished(folder), key=lambda r: (r.data.name, _order(r), r.seed, r.name))


def _order(results: Results) -> tuple[str, int]:
    return results.model.name, results.model.bits or 0


def _finished(folder: Path) -> Iterator[Results]:
    for path in sorted(folder.glob("*/results.json")):
        try:
            yield read_results(path)
        except DataError:  # of an older release; its job will run again
            continue
