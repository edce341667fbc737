"""Tables 2, 3 and 4 of the paper: retrieval metrics, as far as some runs can fill them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fico.report.paper.published_metrics import (
    CATEGORY,
    DEEP,
    DEEP_RECALL,
    INSTANCE,
    MAP,
    Numbers,
    R,
    paper_data,
    paper_model,
    published,
)
from fico.report.results.display import DIRECTION_NAMES, is_beyond_candidates
from fico.report.results.protocol import Protocol
from fico.report.results.schema import Results
from fico.report.results.score_cell import score_cell
from fico.report.results.seeds import MODELS, SeedGroup, group_seeds, is_untrained
from fico.report.table.best import mark_best
from fico.report.table.table import NOT_APPLICABLE, NOTHING, Cell, Column, Row, Table, distinct, text_cells

LEADING = (Column("model", is_text=True), Column("bits"), Column("size", is_text=True), Column("seeds"))
READING = (
    "In percent. After the value of one run: its 95 % interval (bootstrap over queries, captions of one image "
    "together). Several seeds: mean ± standard deviation over the seeds, which leaves the choice of queries out."
)
HASHING = ("adv", "ucch", "dadh")  # of the paper's models


@dataclass(frozen=True, slots=True)
class MetricTable:
    """What a table of metrics holds; ``takes`` says which runs belong in it."""

    number: int
    title: str
    task: str
    names: tuple[str, ...]
    paper: Numbers
    takes: Callable[[Results], bool] = lambda _: True


def is_hashing(results: Results) -> bool:
    """Whether the model makes binary codes; of precomputed scores only its name is known."""
    return results.model.bits is not None or results.model.name in HASHING


TABLES = (
    MetricTable(2, "instance level", "instance", R, INSTANCE),
    MetricTable(3, "extended recall of hash codes", "instance", DEEP, DEEP_RECALL, is_hashing),
    MetricTable(4, "category level", "category", MAP, CATEGORY),
)


def metric_table(definition: MetricTable, protocol: Protocol, runs: Sequence[Results], key: str) -> Table | None:
    """Table 2, 3 or 4 on one data set; None where no run has any of its metrics.

    Args:
        definition: Which table.
        protocol: What the runs share.
        runs: Finished runs of that protocol.
        key: Name of the data set in file names.
    """
    keys = [(direction, name) for direction in DIRECTION_NAMES for name in definition.names]
    metrics = [f"{definition.task}/{direction}/{name}" for direction, name in keys]
    trained = [run for run in runs if definition.takes(run) and not is_untrained(run)]
    found = group_seeds([run for run in trained if any(map(run.metric, metrics))])
    if not found:
        return None
    rows: list[Row] = []
    for group in found:
        rows += _rows(definition, group, keys)
    rows = [*mark_best(rows, len(LEADING)), *_chance_rows(definition, found, keys)]
    columns = (*LEADING, *(Column(name, DIRECTION_NAMES[direction]) for direction, name in keys))
    title = f"Table {definition.number}: {definition.title}, {protocol.description}"
    meaning, absent = _meaning(definition, found), _absent(definition, found, keys, runs)
    notes = distinct([READING, *meaning, *absent, *_paper(rows)])
    return Table(f"table{definition.number}-{key}", title, columns, tuple(rows), notes)


def _rows(definition: MetricTable, group: SeedGroup, keys: Sequence[tuple[str, str]]) -> list[Row]:
    first, count = group.first, len(group.runs)
    scores = [group.score(f"{definition.task}/{direction}/{name}") for direction, name in keys]
    facts = str(first.model.bits or NOTHING), first.model.size or NOTHING, ", ".join(map(str, group.seeds))
    cells = [
        Cell(NOT_APPLICABLE) if score is None and is_beyond_candidates(first, name) else score_cell(score, count)
        for score, (_, name) in zip(scores, keys, strict=True)
    ]
    rows = [Row((*text_cells(group.name, *facts), *cells))]
    model, data = paper_model(first), paper_data(first)
    known = [
        None if model is None or data is None else published(definition.paper, data, model, direction, column)
        for direction in DIRECTION_NAMES
        for column in range(len(definition.names))
    ]
    if any(number is not None for number in known):
        gaps = [None if n is None or s is None else 100 * s.value - n for s, n in zip(scores, known, strict=True)]
        rows.append(Row((*text_cells("paper", "", "", ""), *(_number(n, "{:.1f}") for n in known)), "paper"))
        rows.append(Row((*text_cells("difference", "", "", ""), *(_number(g, "{:+.2f}") for g in gaps)), "difference"))
    return rows


def _number(number: float | None, form: str) -> Cell:
    return Cell(NOTHING) if number is None else Cell(form.format(number).replace("-", "−"), numbers={"": number})


def _chance_rows(definition: MetricTable, found: Sequence[SeedGroup], keys: Sequence[tuple[str, str]]) -> list[Row]:
    """One row where all runs agree, as on one data set they should; else one for each level."""
    levels: list[list[Cell]] = []
    for group in found:
        scores = [group.score(f"{definition.task}/{direction}/chance/{name}") for direction, name in keys]
        cells = [_number(None if s is None else 100 * s.value, "{:.2f}") for s in scores]
        alike = next((row for row in levels if all(map(_agree, row, cells))), None)
        if alike is not None:
            alike[:] = [one if one.text != NOTHING else other for one, other in zip(alike, cells, strict=True)]
        elif any(cell.text != NOTHING for cell in cells):
            levels.append(cells)
    return [Row((*text_cells("chance", "", "", ""), *cells), "chance") for cells in levels]


def _agree(one: Cell, other: Cell) -> bool:
    return NOTHING in (one.text, other.text) or one.text == other.text


def _meaning(definition: MetricTable, found: Sequence[SeedGroup]) -> list[str]:
    """What each metric is, without the number of queries, which differs between the directions."""
    notes = []
    for name in definition.names:
        meanings = {
            metric.definition.rpartition("; ")[0] or metric.definition
            for group in found
            for run in group.runs
            for direction in DIRECTION_NAMES
            if (metric := run.metric(f"{definition.task}/{direction}/{name}")) is not None
        }
        if meanings:
            notes.append(f"{name}: {' / '.join(sorted(meanings))}.")
    return notes


def _absent(
    definition: MetricTable, found: Sequence[SeedGroup], keys: Sequence[tuple[str, str]], runs: Sequence[Results]
) -> list[str]:
    notes = []
    for group in found:
        gaps = [key for key in keys if not group.score("/".join((definition.task, *key)))]
        absent = [" ".join(key) for key in gaps if not is_beyond_candidates(group.first, key[1])]
        if absent:
            notes.append(f"{group.label} was not measured, or cannot be, for {', '.join(absent)} (–).")
        if len(gaps) > len(absent):
            notes.append("n/a: after the candidates that a re-ranking scored there is no order.")
    there = {group.first.model.name.replace("(nf)", "_nf").split("(")[0] for group in found}
    wanted = HASHING if definition.takes is is_hashing else MODELS
    if missing := [name for name in wanted if name not in there]:
        notes.append(f"No finished run here of {', '.join(missing)}.")
    if untrained := sorted({run.model.name for run in runs if definition.takes(run) and is_untrained(run)}):
        notes.append(f"Runs with untrained weights are left out: {', '.join(untrained)}.")
    commits = {group.label: sorted({run.commit[:8] for run in group.runs}) for group in found}
    notes += [f"The seeds of {label} ran with different code: {', '.join(c)}." for label, c in commits.items() if c[1:]]
    return notes


def _paper(rows: Sequence[Row]) -> list[str]:
    if any(row.kind == "paper" for row in rows):
        return ["paper: FiCo-ITR, arXiv 2407.20114; difference: ours minus the paper's, in points; – is not given."]
    return ["No row has the paper's data set, split, model size and code length, so none has a number of the paper."]
