"""Tables for the terminal: in colour there, as plain text in a pipe or a file."""

from collections.abc import Iterator
from typing import TextIO

import rich.table
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.text import Text

from fico.report.table.table import Cell, Column, Emphasis, Row, Table

WIDTH = 100  # columns; a wider terminal would only tear the numbers apart
_UNBOUNDED = 100_000  # columns to measure a table in: a console measures nothing wider than itself
_STYLES: dict[Emphasis, str] = {"": "", "strong": "bold", "faint": "dim"}


def print_table(table: Table, file: TextIO | None = None, *, width: int | None = None) -> None:
    """Prints a table with its notes, as wide as its numbers need, so that a pipe gets it whole.

    Args:
        table: What to print.
        file: Where to print; standard output if not given.
        width: Columns in which text folds, where it shall not be as wide as it needs.
    """
    shown = as_rich(table)
    needed = max(WIDTH, Console(file=file, width=_UNBOUNDED).measure(shown).maximum)
    console = Console(file=file, width=width or needed, highlight=False)
    console.print(shown)
    for note in notes(table):
        console.print(Text(note), soft_wrap=not console.is_terminal)
    console.print()


def as_rich(table: Table) -> RenderableType:
    """The table without its notes, for a console of any width; text columns wrap where it is narrow."""
    made = rich.table.Table(box=SIMPLE_HEAD, padding=(0, 1), show_edge=False, pad_edge=False)
    for column, heading in _headings(table):
        made.add_column(
            Text(heading),
            justify="left" if column.is_text else "right",
            style=_STYLES[column.emphasis],
            no_wrap=not column.is_text,
            overflow="fold",
        )
    for row in table.rows:
        if row.kind not in table.folded:
            cells = zip(table.columns, row.cells, strict=True)
            made.add_row(*(_text(cell, row) for column, cell in cells if not column.is_detail))
    return Group(Text(table.title, style="italic"), made)


def notes(table: Table) -> list[str]:
    """The notes, after a sentence about the rows that the terminal leaves out."""
    hidden = sum(row.kind in table.folded for row in table.rows)
    return [*([f"{hidden} more rows are in the report."] if hidden else []), *table.notes]


def _headings(table: Table) -> Iterator[tuple[Column, str]]:
    """Headings of equal height; a group's name is above its first column alone."""
    shown = [column for column in table.columns if not column.is_detail]
    groups, last = [], ""
    for column in shown:
        groups.append(column.group if column.group != last else "")
        last = column.group
    heads = [f"{group}\n{column.name}" if group else column.name for group, column in zip(groups, shown, strict=True)]
    height = max((head.count("\n") for head in heads), default=0)
    for column, head in zip(shown, heads, strict=True):
        yield column, "\n" * (height - head.count("\n")) + head


def _text(cell: Cell, row: Row) -> Text:
    text = Text(cell.text, style="bold" if cell.is_best else "dim" if row.kind != "run" else "")
    return text.append(f" {cell.note}", style="not bold dim") if cell.note else text
