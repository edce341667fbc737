"""Tables for the terminal: within its width there, whole and as plain text in a pipe or a file."""

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from typing import TextIO

import rich.table
from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleDimensions, Group, RenderableType
from rich.text import Text

from fico.report.table.table import Cell, Column, Emphasis, Row, Table

_UNBOUNDED = 100_000  # columns of a pipe or file, where nothing is wrapped
_STYLES: dict[Emphasis, str] = {"": "", "strong": "bold", "faint": "dim"}


def console_of(file: TextIO | None = None) -> Console:
    """A console that neither wraps nor colours outside of a terminal, whose width it has.

    Args:
        file: Where to print; standard output if not given.
    """
    console = Console(file=file, highlight=False)
    if not console.is_terminal:
        return Console(file=file, highlight=False, width=_UNBOUNDED)
    console.size = ConsoleDimensions(console.width, console.height)  # of COLUMNS without LINES Rich heeds half
    return console


def print_table(table: Table, file: TextIO | None = None) -> None:
    """Prints a table with its notes; one that is wider than the terminal in parts of its columns, one below the other.

    Args:
        table: What to print.
        file: Where to print; standard output if not given.
    """
    console = console_of(file)
    for number, part in enumerate(fitted(table, console)):
        if number:
            console.print()
        print_stripped(console, as_rich(part))
    for note in notes(table):
        print_text(console, note)
    console.print()


def print_stripped(console: Console, renderable: RenderableType) -> None:
    """Prints without the blanks with which Rich fills each line."""
    with console.capture() as captured:
        console.print(renderable)
    for line in captured.get().splitlines():
        console.file.write(f"{line.rstrip()}\n")


def print_text(console: Console, text: str, style: str = "") -> None:
    """Prints a sentence, wrapped at words on a terminal and in one line elsewhere."""
    print_stripped(console, Text(text, style=style))


def hanging(text: str, indent: int, console: Console) -> str:
    """A line whose continuation on a terminal is indented; unchanged elsewhere.

    Args:
        text: In one line or several.
        indent: Spaces before every line but the first.
        console: Where it is printed.
    """
    lines = text.splitlines()
    if console.is_terminal:
        wrapper = textwrap.TextWrapper(break_long_words=False, break_on_hyphens=False, subsequent_indent=" " * indent)
        for number, line in enumerate(lines):
            wrapper.width = console.width - (indent if number else 0)
            lines[number] = wrapper.fill(line)
    return f"\n{' ' * indent}".join(lines)


def fitted(table: Table, console: Console) -> list[Table]:
    """The table, or parts of its columns that fit the console; columns of a group stay together.

    Args:
        table: Any.
        console: Its width is the limit. A single group that is wider has its text columns wrapped.

    Returns:
        One or several tables with the same rows; every one begins with the leading text columns.
    """
    shown = [number for number, column in enumerate(table.columns) if not column.is_detail]
    leading = [n for n, number in enumerate(shown) if n == 0 or all(table.columns[i].is_text for i in shown[: n + 1])]
    first, rest = shown[: len(leading)], shown[len(leading) :]
    parts: list[list[int]] = [first]
    for _, members in groupby(rest, key=lambda number: table.columns[number].group or number):
        block = list(members)
        if len(parts[-1]) > len(first) and _width(_part(table, [*parts[-1], *block])) > console.width:
            parts.append(first)
        parts[-1] = [*parts[-1], *block]
    return [_part(table, part, is_first=number == 0) for number, part in enumerate(parts)]


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
    return Group(Text(table.title, style="italic"), made) if table.title else made


def notes(table: Table) -> list[str]:
    """The notes, after a sentence about the rows that the terminal leaves out and why."""
    hidden = sum(row.kind in table.folded for row in table.rows)
    why = f": {table.folded_because}" if table.folded_because else ""
    is_are = "row is" if hidden == 1 else "rows are"
    return [*([f"{hidden} more {is_are} not shown{why}."] if hidden else []), *table.notes]


def _part(table: Table, numbers: Iterable[int], *, is_first: bool = True) -> Table:
    """The table with these columns alone; a part behind the first has no title."""
    numbers = list(numbers)
    columns = tuple(table.columns[number] for number in numbers)
    rows = tuple(replace(row, cells=tuple(row.cells[number] for number in numbers)) for row in table.rows)
    return replace(table, columns=columns, rows=rows, title=table.title if is_first else "")


def _width(table: Table) -> int:
    """Columns that the table needs without wrapping; its title may wrap."""
    measured = Console(width=_UNBOUNDED, height=1).measure(as_rich(replace(table, title="")))
    return measured.maximum


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
