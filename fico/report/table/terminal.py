"""Tables for the terminal."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fico.report.table.run_tables import WIDTH
from fico.report.table.table import Cell, Grid, Row


def print_grid(grid: Grid) -> None:
    """Prints a table with its notes, as wide as its numbers need; bold is what is best."""
    table = Table(
        title=Text(grid.title), box=SIMPLE_HEAD, padding=(0, 1), show_edge=False, pad_edge=False, title_justify="left"
    )
    last = ""
    for column in grid.columns:
        above = column.group if column.group != last else ""  # a group's name stands above its first column alone
        heading = f"{above}\n{column.name}" if any(c.group for c in grid.columns) else column.name
        table.add_column(Text(heading), justify="left" if column.is_text else "right", no_wrap=True)
        last = column.group
    for row in grid.rows:
        table.add_row(*(_text(cell, row) for cell in row.cells))
    console = Console(highlight=False)
    width = max(WIDTH, console.measure(table).maximum)
    console = Console(width=width, highlight=False)
    console.print(table)
    for note in grid.notes:
        console.print(Text(note), soft_wrap=True)


def _text(cell: Cell, row: Row) -> Text:
    text = Text(cell.text, style="bold" if cell.is_best else "dim" if row.kind != "run" else "")
    return text.append(f" {cell.note}", style="not bold dim") if cell.note else text
