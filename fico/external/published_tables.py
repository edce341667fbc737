"""Tables 2, 3 and 4 of the paper from the published outputs, next to the paper's numbers."""

from collections.abc import Mapping

from fico.evaluation.result import RetrievalResult
from fico.external.published_outputs import HASHING, MODELS, TITLES, Dataset
from fico.report.paper.published_metrics import CATEGORY, DEEP, DEEP_RECALL, INSTANCE, MAP, Numbers, R, published
from fico.report.results.per_query import DIRECTIONS
from fico.report.table.table import NOTHING, Cell, Column, Row, Table, text_cells

Evaluated = Mapping[tuple[str, Dataset], RetrievalResult]


def published_tables(evaluated: Evaluated) -> list[Table]:
    """One table for each of the paper's tables and data sets that the evaluations can fill.

    Args:
        evaluated: By model and data set.

    Returns:
        Percents: measured here, as the paper has it (``–`` where that number is not known here), the difference.
    """
    tables = []
    for dataset, title in TITLES.items():
        rows = {model: evaluated[model, dataset] for model in MODELS if (model, dataset) in evaluated}
        hashing = {model: result for model, result in rows.items() if model in HASHING}
        tables += [
            _table(f"Table 2: instance level, {title}", dataset, rows, "instance", R, INSTANCE),
            _table(f"Table 3: extended recall, {title}", dataset, hashing, "instance", DEEP, DEEP_RECALL),
            _table(f"Table 4: category level, {title}", dataset, rows, "category", MAP, CATEGORY),
        ]
    return [table for table in tables if table is not None]


def _table(
    title: str,
    dataset: Dataset,
    rows: Mapping[str, RetrievalResult],
    task: str,
    names: tuple[str, ...],
    paper: Numbers,
) -> Table | None:
    if not any(f"{task}/i2t/{names[0]}" in result.metrics for result in rows.values()):
        return None
    keys = [(direction, column) for direction in DIRECTIONS for column in range(len(names))]
    found: list[Row] = []
    for model, result in rows.items():
        ours = [result.metrics.get(f"{task}/{direction}/{names[column]}") for direction, column in keys]
        known = [published(paper, dataset, model, direction, column) for direction, column in keys]
        gaps = [None if a is None or b is None else 100 * a - b for a, b in zip(ours, known, strict=True)]
        percents = [None if value is None else 100 * value for value in ours]
        found.append(Row((*text_cells(model, "here"), *(_cell(value, ".2f") for value in percents))))
        found.append(Row((*text_cells("", "paper"), *(_cell(value, ".1f") for value in known)), "paper"))
        found.append(Row((*text_cells("", "difference"), *(_cell(gap, "+.2f") for gap in gaps)), "difference"))
    columns = (Column("in %", is_text=True), Column("", is_text=True))
    numbers = (Column(names[column], direction) for direction, column in keys)
    return Table(f"published-{dataset}-{names[0]}", title, (*columns, *numbers), tuple(found))


def _cell(value: float | None, form: str) -> Cell:
    return Cell(NOTHING) if value is None else Cell(format(value, form), numbers={"": value})
