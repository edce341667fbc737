"""Table 6 of the paper as the tests of runs measured it: attention at query time on each set of queries."""

from collections.abc import Iterator, Sequence

from fico.report.paper.cost.attention_times import ATTENTION_SIZES, PAPER_K, AttentionTimes
from fico.report.paper.cost.growth import TimeOfSize
from fico.report.paper.cost.time_cells import CAPTIONS, PAPER_NOTE, exponent_cell, machine_notes, number_cell, time_cell
from fico.report.paper.cost.timed import conditions, series, timed_groups
from fico.report.paper.published_metrics import ATTENTION, paper_model
from fico.report.results.schema import Results
from fico.report.results.seeds import SeedGroup
from fico.report.table.table import NOTHING, Cell, Column, Row, Table, distinct, text_cells


def attention_table(runs: Sequence[Results]) -> Table | None:
    """Table 6: seconds of attention at query time on each set of queries, and how they grow with it.

    Args:
        runs: Finished runs on any data.

    Returns:
        None where no run has a model with attention at query time.
    """
    found = attention_series(runs)
    if not found:
        return None
    machines = list(dict.fromkeys(conditions(groups[0].first) for groups in found))
    rows = [row for groups in found for row in _rows(groups, machines.index(conditions(groups[0].first)) + 1)]
    columns = (
        *(Column(name, is_text=True) for name in ("model", "size", "data")),
        Column("machine"),
        *(Column(name) for name in ("images", "captions", "attention", "µs per pair", "ms per query", "exponent")),
    )
    without = sorted({run.model.name for run in runs if not run.model.query_time_attention and run.metrics})
    has_paper = any(row.kind == "paper" for row in rows)
    notes = (
        "Wall clock of scoring the whole query set, both directions; seeds are averaged. µs per pair is per cell of "
        "the score matrix, also where a model re-ranks the first candidates alone; ms per query per image or caption.",
        "exponent: slope of log seconds over log images, 2 where cost grows with the square; it needs two sizes of one "
        "data set, machine and precision.",
        f"No attention at query time: {', '.join(without)}." if without else "",
        f"{PAPER_NOTE} A re-ranker scores {PAPER_K} candidates there." if has_paper else "",
        *machine_notes(machines),
    )
    return Table("table6", "Table 6: attention at query time", columns, tuple(rows), distinct(notes))


def attention_series(runs: Sequence[Results]) -> list[list[SeedGroup]]:
    """Groups with attention at query time whose times grow with the size of the data alone, the smallest first."""
    attending = [run for run in runs if run.model.query_time_attention and run.efficiency.get("attention_seconds")]
    found: dict[tuple[str, ...], list[SeedGroup]] = {}
    for group in timed_groups(attending):
        found.setdefault(series(group), []).append(group)
    return [sorted(groups, key=lambda group: group.first.data.images) for groups in found.values()]


def attention_seconds(group: SeedGroup) -> float:
    """Mean over the seeds."""
    return sum(float(run.efficiency["attention_seconds"]) for run in group.runs) / len(group.runs)


def _rows(groups: Sequence[SeedGroup], machine: int) -> Iterator[Row]:
    slope = exponent_cell([group.first.data.images for group in groups], [attention_seconds(g) for g in groups])
    for number, group in enumerate(groups):
        data, own = group.first.data, TimeOfSize(attention_seconds(group))
        names = text_cells(group.name, group.first.model.size or NOTHING, data.name, str(machine))
        counts = text_cells(f"{data.images:,}", f"{data.captions:,}")
        yield Row((*names, *counts, *_costs(own, data.images, data.captions), Cell("") if number else slope))
        name = paper_model(group.first) or ""
        if name in ATTENTION and data.images in ATTENTION_SIZES.values():
            theirs = AttentionTimes.of_paper(name)
            costs = _costs(theirs.at(data.images), data.images, CAPTIONS * data.images)
            power = exponent_cell(list(theirs.measured), list(theirs.measured.values()))
            yield Row((*text_cells("paper", *[""] * 5), *costs, power), "paper")


def _costs(time: TimeOfSize, images: int, captions: int) -> list[Cell]:
    per_pair, per_query = 1e6 * time.seconds / (images * captions), 1e3 * time.seconds / (images + captions)
    return [time_cell(time), number_cell(per_pair, ".2f"), number_cell(per_query, ".2f")]
