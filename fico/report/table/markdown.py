"""Tables as Markdown."""

import re
from collections.abc import Sequence

from fico.report.table.table import Cell, Row, Table


def as_markdown(table: Table) -> str:
    """The table in GitHub's form with its title as a heading and its notes as a list."""
    lines = [f"### {escaped(table.title)}", "", _piped([escaped(column.heading) for column in table.columns])]
    lines.append(_piped(["---" if column.is_text else "---:" for column in table.columns]))
    lines += [_piped([_cell(cell, row) for cell in row.cells]) for row in table.rows]
    if table.notes:
        lines += ["", *(f"- {escaped(note)}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Text escaped for a Markdown table."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", " ")
    return re.sub(r"([\\|`*\[\]])", r"\\\1", text)


def _piped(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell, row: Row) -> str:
    text = escaped(cell.text)
    text = f"**{text}**" if cell.is_best else f"*{text}*" if row.kind != "run" and text else text
    note = escaped(cell.note)
    return text if not note else f"{text} {note}" if note.startswith("±") else f"{text} ({note})"
