"""What a run prints: headline, tables, times and sizes, notes."""

from typing import Any, TextIO

from rich.console import Console, Group, RenderableType
from rich.text import Text

from fico.report.results.display import shown_tasks
from fico.report.results.schema import Results
from fico.report.run_summary.hubness_table import hubness_table
from fico.report.run_summary.metric_table import both_table, metric_table
from fico.report.run_summary.search_table import search_table
from fico.report.table.table import Table
from fico.report.table.terminal import WIDTH, as_rich
from fico.util.units import bytes_text, seconds_text


def print_results(results: Results, file: TextIO | None = None) -> None:
    """Prints all tables of a run, in colour on a terminal and as plain text elsewhere, in at most 100 columns.

    Args:
        results: A finished run.
        file: Where to print; standard output if not given.
    """
    parts: list[RenderableType] = [Text(headline(results), style="bold"), ""]
    for table in tables(results):
        parts += [as_rich(table), ""]
    if results.efficiency:
        parts.append(Text("; ".join(f"{name} {value}" for name, value in efficiency_lines(results.efficiency))))
    parts += [Text(note, style="yellow") for note in results.notes]
    Console(file=file, width=WIDTH, highlight=False).print(Group(*parts))


def tables(results: Results) -> list[Table]:
    """The metrics of each task that was evaluated and of both directions, hubness, and the comparison of indexes."""
    metrics = (*(metric_table(results, task) for task in shown_tasks(results)), both_table(results))
    found = [table for table in (*metrics, hubness_table(results)) if table is not None]
    return [*found, *([search_table(results.search)] if results.search else [])]


def headline(results: Results) -> str:
    """Model, data and counts in one line."""
    model, data = results.model, results.data
    dense = f"{model.dim}-D {model.dtype}" if model.dim else f"{model.dtype} scores"
    kind = f"{model.bits}-bit codes" if model.bits else dense
    size = f" ({model.size})" if model.size else ""
    return (
        f"{model.name}{size}, {kind}, on {data.name} {data.split}: {data.images:,} images, {data.captions:,} captions"
    )


def efficiency_lines(efficiency: dict[str, Any]) -> list[tuple[str, str]]:
    """Times and sizes with their names spelt out and their units chosen; what was not measured is left out."""
    lines = []
    for key, value in efficiency.items():
        if value is None or (key == "attention_seconds" and not value):  # most models have none at query time
            continue
        if key == "encoding":
            lines += [(f"Encode {row['images']:,} images", seconds_text(row["seconds"])) for row in value]
            continue
        name, _, unit = key.rpartition("_")
        if isinstance(value, int | float) and unit in ("seconds", "bytes"):
            text = seconds_text(value) if unit == "seconds" else bytes_text(value)
        else:
            name, text = key, f"{value:,.4g}" if isinstance(value, float) else str(value)
        lines.append((name.replace("_", " ").capitalize(), text))
    return lines
