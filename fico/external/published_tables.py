"""Tables 2, 3 and 4 of the paper from the published outputs, beside the paper's own numbers."""

from collections.abc import Mapping

from rich.box import SIMPLE_HEAD
from rich.table import Table

from fico.evaluation.result import RetrievalResult
from fico.external.published_outputs import HASHING, MODELS, TITLES, Dataset
from fico.report.paper.published_metrics import (
    CATEGORY,
    DEEP,
    DEEP_RECALL,
    INSTANCE,
    MAP,
    Numbers,
    R,
    published,
)
from fico.report.results.per_query import DIRECTIONS

Evaluated = Mapping[tuple[str, Dataset], RetrievalResult]


def published_tables(evaluated: Evaluated) -> list[Table]:
    """One table for each of the paper's tables and data sets that the evaluations can fill.

    Args:
        evaluated: By model and data set.

    Returns:
        Percents: measured here, as the paper has it (``-`` where that number is not known here), the difference.
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
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("in %", no_wrap=True)
    table.add_column("", no_wrap=True, style="dim")
    for direction in DIRECTIONS:
        for name in names:
            table.add_column(f"{direction}\n{name}", justify="right", no_wrap=True)
    for model, result in rows.items():
        keys = [(direction, column) for direction in DIRECTIONS for column in range(len(names))]
        ours = [result.metrics.get(f"{task}/{direction}/{names[column]}") for direction, column in keys]
        known = [published(paper, dataset, model, direction, column) for direction, column in keys]
        table.add_row(model, "here", *("-" if value is None else f"{100 * value:.2f}" for value in ours))
        table.add_row("", "paper", *("-" if value is None else f"{value:.1f}" for value in known))
        gaps = (None if a is None or b is None else 100 * a - b for a, b in zip(ours, known, strict=True))
        table.add_row("", "difference", *("-" if gap is None else f"{gap:+.2f}" for gap in gaps), end_section=True)
    return table
