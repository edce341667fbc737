"""Table 6 at the paper's sizes: measured query sets, and what the rate of the largest says of others."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fico.report.paper.cost.growth import Growth, TimeOfSize
from fico.report.paper.cost.time_cells import (
    CAPTIONS,
    PAPER_NOTE,
    SIZES,
    error_cell,
    exponent_cell,
    machine_notes,
    number_cell,
    time_cell,
)
from fico.report.paper.cost.timed import conditions, timed_groups
from fico.report.paper.published_metrics import ATTENTION, paper_model
from fico.report.results.schema import Results
from fico.report.results.seeds import SeedGroup
from fico.report.table.table import NOTHING, Cell, Column, Row, Table, distinct, text_cells

ATTENTION_SIZES = dict(list(SIZES.items())[:3])
PAPER_K = 128  # candidates of the paper's re-rankers, at every size
_PER = 1_000  # images for which `scaled` has k candidates
_RULES = {"all": "all pairs", "fixed": "k = {k}", "scaled": "k = {k} for each 1,000 images"}


@dataclass(frozen=True, slots=True)
class AttentionTimes:
    """Seconds of attention of one model under one rule.

    Args:
        rule: ``all``: every pair; ``fixed``: k candidates of a query; ``scaled``: k for each 1,000 images.
        k: Candidates, of ``scaled`` for each 1,000 images; None for all pairs.
        measured: Seconds by images; the captions are in proportion.
        pairs: That were scored, by images.
        cpu_per_pair: Processor seconds of a pair, of the largest size that has them; None where none has.
    """

    rule: str
    k: int | None
    measured: Mapping[int, float]
    pairs: Mapping[int, float]
    cpu_per_pair: float | None = None

    @classmethod
    def of(cls, rule: str, k: int | None, rows: Sequence[Mapping[str, Any]]) -> "AttentionTimes":
        """From rows of ``efficiency.attention`` of that rule and k; medians over seeds."""
        images = sorted({row["images"] for row in rows})
        measured = {size: _median(rows, size, "seconds") for size in images}
        pairs = {size: _median(rows, size, "pairs") for size in images}
        timed = [row for row in rows if row["cpu_seconds"] is not None]
        if not timed:
            return cls(rule, k, measured, pairs)
        largest = max(row["images"] for row in timed)
        return cls(rule, k, measured, pairs, _median(timed, largest, "cpu_seconds") / _median(timed, largest, "pairs"))

    @classmethod
    def of_paper(cls, model: str) -> "AttentionTimes":
        """The paper's sizes that finished, with the most pairs that they can have."""
        k = None if model in ("imram", "scan") else PAPER_K
        seconds = zip(ATTENTION_SIZES.values(), ATTENTION[model], strict=True)
        measured = {images: known for images, known in seconds if known is not None}
        return cls("all" if k is None else "fixed", k, measured, {n: most_pairs(n, k) for n in measured})

    def at(self, images: int) -> TimeOfSize:
        """Seconds of a size with five captions an image; one that was not measured from the most pairs it can have."""
        if images in self.measured:
            return TimeOfSize(self.measured[images])
        k = self.k * images // _PER if self.k is not None and self.rule == "scaled" else self.k
        return TimeOfSize(self._growth.at(most_pairs(images, k)), is_measured=False)

    @property
    def error(self) -> float | None:
        """Of `Growth.error`."""
        return self._growth.error

    @property
    def per_pair(self) -> float:
        """Seconds of a scored pair at the largest measured size."""
        images = max(self.measured)
        return self.measured[images] / self.pairs[images]

    @property
    def _growth(self) -> Growth:
        return Growth({self.pairs[images]: seconds for images, seconds in self.measured.items()})


def most_pairs(images: int, k: int | None) -> int:
    """Pairs of both directions with five captions an image, where none is a candidate in both; all for ``k`` None."""
    captions = CAPTIONS * images
    if k is None:
        return images * captions
    return min(images * captions, images * min(k, captions) + captions * min(k, images))


def attention_sizes_table(runs: Sequence[Results]) -> Table | None:
    """Table 6 at the paper's three sizes.

    Args:
        runs: Finished runs, untrained ones too: training changes no time.

    Returns:
        None where no run measured attention on growing query sets.
    """
    groups = timed_groups([run for run in runs if run.efficiency.get("attention")])
    if not groups:
        return None
    machines = list(dict.fromkeys(conditions(group.first) for group in groups))
    rows: list[Row] = []
    for group in groups:
        rows += _group_rows(group, machines.index(conditions(group.first)) + 1)
    columns = (
        *(Column(title, is_text=True) for title in ("model", "size", "data")),
        Column("machine"),
        Column("scored", is_text=True),
        *(Column(size, "attention") for size in ATTENTION_SIZES),
        *(Column(title) for title in ("µs per pair", "CPU µs per pair", "exponent", "error, %")),
        Column("images measured", is_text=True),
    )
    notes = (
        "Wall clock of scoring, both directions; the first stage is not counted. ~ not measured: the most pairs that "
        "both directions can have, at seconds a pair of the largest measured size. error: the largest measured size "
        "as the seconds a pair of the size before it give it, relative to its time.",
        "exponent: slope of log seconds over log images, of the measured sizes alone; it needs two.",
        PAPER_NOTE if any(row.kind == "paper" for row in rows) else "",
        *machine_notes(machines),
    )
    title = "Table 6: attention at query time at the paper's sizes"
    return Table("table6-sizes", title, columns, tuple(rows), distinct(notes))


def _group_rows(group: SeedGroup, machine: int) -> Iterator[Row]:
    found: dict[tuple[str, int | None], list[Mapping[str, Any]]] = {}
    for run in group.runs:
        for (rule, k), rows in _by_rule(run.efficiency["attention"]).items():
            found.setdefault((rule, k), []).extend(rows)
    first = group.first
    names = text_cells(group.name, first.model.size or NOTHING, first.data.name, str(machine))
    name = paper_model(first) or ""
    theirs = AttentionTimes.of_paper(name) if name in ATTENTION else None
    for (rule, k), rows in found.items():
        times = AttentionTimes.of(rule, k, rows)
        yield Row((*names, *_cells(times)))
        if theirs is not None and (rule, k) == (theirs.rule, theirs.k):
            yield Row((*text_cells("paper", "", "", ""), *_cells(theirs)), "paper")


def _by_rule(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, int | None], list[Mapping[str, Any]]]:
    """A run's rows by rule and k; a scaled k is that for each 1,000 images, read off the largest size."""
    found: dict[tuple[str, int | None], list[Mapping[str, Any]]] = {}
    scaled = [row for row in rows if row["rule"] == "scaled"]
    largest = max(scaled, key=lambda row: row["images"], default=None)
    for row in rows:
        k = row["k"] if row["rule"] != "scaled" or largest is None else _scale(largest)
        found.setdefault((row["rule"], k), []).append(row)
    return found


def _scale(row: Mapping[str, Any]) -> int:
    """The least k for each 1,000 images that gives a row's."""
    return max(1, math.ceil(int(row["k"]) * _PER / int(row["images"])))


def _cells(times: AttentionTimes) -> list[Cell]:
    sizes = [time_cell(times.at(images)) for images in ATTENTION_SIZES.values()]
    costs = [number_cell(None if cost is None else 1e6 * cost, ".2f") for cost in (times.per_pair, times.cpu_per_pair)]
    growth = [exponent_cell(list(times.measured), list(times.measured.values())), error_cell(times.error)]
    measured = Cell(", ".join(f"{images:,}" for images in times.measured))
    return [Cell(_RULES[times.rule].format(k=times.k)), *sizes, *costs, *growth, measured]


def _median(rows: Sequence[Mapping[str, Any]], images: int, key: str) -> float:
    return float(np.median([row[key] for row in rows if row["images"] == images]))
