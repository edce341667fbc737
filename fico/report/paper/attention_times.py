"""Table 6 at the paper's sizes: measured query sets, and beyond them a line over the pairs that are scored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fico.report.paper.cost_tables import fitted_exponent
from fico.report.paper.encoding_times import TimeOfSize, relative_line
from fico.report.paper.published_metrics import ATTENTION, paper_model
from fico.report.results.runs import machine
from fico.report.results.schema import Results
from fico.report.table.table import NOTHING, Cell, Column, Row, Table, text_cells
from fico.util.units import seconds_text

SIZES = {"1K / 5K": 1_000, "10K / 50K": 10_000, "100K / 500K": 100_000}
CAPTIONS = 5  # per image, in the paper's sizes
_PER = 1_000  # images for which `scaled` has k candidates
_RULES = {"all": "all pairs", "fixed": "k = {k}", "scaled": "k = {k} for each 1,000 images"}


@dataclass(frozen=True, slots=True)
class AttentionTimes:
    """Seconds of attention of one model under one rule.

    Args:
        rule: ``all``: every pair; ``fixed``: k candidates of a query; ``scaled``: k for each 1,000 images.
        k: Candidates, of ``scaled`` for each 1,000 images; None for all pairs.
        measured: Seconds by images; the captions are in proportion.
        start: Seconds that any size takes, of the line.
        per_pair: Seconds of a scored pair, of the line.
        error: Largest relative difference of a measured size from the line; None with a single size.
        cpu_per_pair: Processor seconds of a pair, of the largest measured size.
    """

    rule: str
    k: int | None
    measured: Mapping[int, float]
    start: float
    per_pair: float
    error: float | None
    cpu_per_pair: float

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]]) -> "AttentionTimes":
        """From the rows of ``efficiency.attention`` of one rule; medians over seeds."""
        images = sorted({row["images"] for row in rows})
        seconds, pairs = (np.array([_median(rows, size, key) for size in images]) for key in ("seconds", "pairs"))
        start, per_pair = relative_line(pairs, seconds)
        error = float(np.max(np.abs((start + per_pair * pairs) / seconds - 1))) if len(images) > 1 else None
        rule, k = rows[0]["rule"], rows[-1]["k"]
        if rule == "scaled":
            k = max(1, round(k * _PER / images[-1]))
        measured = dict(zip(images, seconds.tolist(), strict=True))
        cpu = _median(rows, images[-1], "cpu_seconds") / pairs[-1]
        return cls(rule, k, measured, start, per_pair, error, float(cpu))

    def at(self, images: int) -> TimeOfSize:
        """Seconds of a size with five captions an image; one that was not measured from the most pairs it can have."""
        if images in self.measured:
            return TimeOfSize(self.measured[images])
        return TimeOfSize(self.start + self.per_pair * self._pairs(images), is_measured=False)

    def _pairs(self, images: int) -> int:
        captions = CAPTIONS * images
        if self.k is None:
            return images * captions
        k = self.k if self.rule == "fixed" else self.k * images // _PER
        return min(images * captions, images * min(k, captions) + captions * min(k, images))


def attention_sizes_table(runs: Sequence[Results]) -> Table | None:
    """Table 6 at the paper's three sizes.

    Args:
        runs: Finished runs, untrained ones too: training changes no time.

    Returns:
        None where no run measured attention on growing query sets.
    """
    measured = [run for run in runs if run.efficiency.get("attention")]
    if not measured:
        return None
    rows = []
    for name in dict.fromkeys((run.model.name, run.model.size or NOTHING) for run in measured):
        own = [run for run in measured if (run.model.name, run.model.size or NOTHING) == name]
        found = [row for run in own for row in run.efficiency["attention"]]
        for rule in dict.fromkeys(row["rule"] for row in found):
            rows += _rows(name, AttentionTimes.of([row for row in found if row["rule"] == rule]), own[0])
    columns = (
        *(Column(title, is_text=True) for title in ("model", "size", "scored")),
        *(Column(size, "attention") for size in SIZES),
        *(Column(title) for title in ("µs per pair", "CPU µs per pair", "exponent", "error, %")),
    )
    notes = (
        "Wall clock of scoring, both directions; the first stage is not counted. ~ not measured: start + pairs x "
        "seconds a pair, fitted to the measured sizes (error: the largest difference of one from the line), with the "
        "most pairs that both directions can have.",
        "exponent: slope of log seconds over log images over the three sizes, fitted ones too.",
        f"Measured on {'; '.join(sorted({machine(run) for run in measured}))}.",
    )
    return Table("table6-sizes", "Table 6: attention at query time at the paper's sizes", columns, tuple(rows), notes)


def _rows(name: tuple[str, str], times: AttentionTimes, run: Results) -> list[Row]:
    sizes = [times.at(images) for images in SIZES.values()]
    exponent = fitted_exponent(list(SIZES.values()), [size.seconds for size in sizes])
    error = NOTHING if times.error is None else f"{100 * times.error:.1f}"
    costs = (f"{1e6 * seconds:.2f}" for seconds in (times.per_pair, times.cpu_per_pair))
    rest = text_cells(*costs, f"{exponent:.2f}", error)
    rows = [Row((*text_cells(*name, _RULES[times.rule].format(k=times.k)), *map(_cell, sizes), *rest))]
    theirs = ATTENTION.get(paper_model(run) or "")
    if theirs is not None and times.rule != "scaled":
        known = [Cell(NOTHING) if value is None else Cell(seconds_text(value), numbers={"": value}) for value in theirs]
        rows.append(Row((*text_cells("paper", "", ""), *known, *[Cell(NOTHING)] * 4), "paper"))
    return rows


def _cell(size: TimeOfSize) -> Cell:
    sign = "" if size.is_measured else "~"
    return Cell(f"{sign}{seconds_text(size.seconds)}", numbers={"": size.seconds})


def _median(rows: Sequence[Mapping[str, Any]], images: int, key: str) -> float:
    return float(np.median([row[key] for row in rows if row["images"] == images]))
