"""Tables as CSV."""

import csv
import io

from fico.report.table.table import NOTHING, Cell, Table


def as_csv(table: Table) -> str:
    """The numbers unrounded, in percent where the table is; a column each for value, interval, spread."""
    parts = [
        list(dict.fromkeys(part for row in table.rows for part in row.cells[column].numbers)) or [""]
        for column in range(len(table.columns))
    ]
    names = [
        " ".join(filter(None, (column.heading, part)))
        for column, found in zip(table.columns, parts, strict=True)
        for part in found
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", *names])
    for row in table.rows:
        cells = [_value(cell, part) for cell, found in zip(row.cells, parts, strict=True) for part in found]
        writer.writerow([row.kind, *cells])
    return text.getvalue()


def _value(cell: Cell, part: str) -> str:
    if part in cell.numbers:
        return f"{cell.numbers[part]:.9g}"
    return "" if part or cell.numbers or cell.text == NOTHING else cell.text
