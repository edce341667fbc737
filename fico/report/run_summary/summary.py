"""What a run prints: headline, tables, times and sizes, notes."""

from typing import Any, TextIO

from fico.report.results.display import shown_tasks
from fico.report.results.schema import Results
from fico.report.run_summary.hubness_table import hubness_table
from fico.report.run_summary.metric_table import both_table, metric_table
from fico.report.run_summary.search_table import search_table
from fico.report.table.table import Table
from fico.report.table.terminal import console_of, print_table, print_text
from fico.util.units import bytes_text, seconds_text

NAMES = {"flops_per_item": "FLOPs per item", "encode_cpu": "Encode CPU"}  # that no rule spells

RULES = {"all": "all pairs", "fixed": "k fixed", "scaled": "k scaled"}


def print_results(results: Results, file: TextIO | None = None) -> None:
    """Prints all tables of a run: in colour and within the width of a terminal, whole and as plain text elsewhere.

    Args:
        results: A finished run.
        file: Where to print; standard output if not given.
    """
    console = console_of(file)
    print_text(console, headline(results), "bold")
    console.print()
    for table in tables(results):
        print_table(table, file)
    if results.efficiency:
        print_text(console, "; ".join(f"{name} {value}" for name, value in efficiency_lines(results.efficiency)))
    for note in results.notes:
        print_text(console, note, "yellow")


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
        if key == "attention":
            lines += [
                (f"Attention, {RULES[row['rule']]}, {row['images']:,} images", seconds_text(row["seconds"]))
                for row in value
            ]
            continue
        name, _, unit = key.rpartition("_")
        if isinstance(value, int | float) and unit in ("seconds", "bytes"):
            text = seconds_text(value) if unit == "seconds" else bytes_text(value)
        else:
            name, text = key, _number_text(value)
        lines.append((NAMES.get(name) or name.replace("_", " ").capitalize(), text))
    return lines


def _number_text(value: Any) -> str:
    """Four digits of a small number, a large one as a whole."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:,.4g}"
