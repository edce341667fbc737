"""Which cells of a table are the best of their column."""

from collections.abc import Sequence
from dataclasses import replace

from fico.report.table.table import Row


def mark_best(rows: Sequence[Row], first: int) -> list[Row]:
    """Marks the highest value of each column among the runs; none where the best are equal as printed.

    Args:
        rows: Of kind ``run`` and others, which are left as they are.
        first: Column of the first metric; in all from there a higher value is better.
    """
    runs = [row for row in rows if row.kind == "run"]
    best: set[tuple[int, int]] = set()
    for column in range(first, len(rows[0].cells) if rows else first):
        known = [(row.cells[column].numbers[""], id(row)) for row in runs if "" in row.cells[column].numbers]
        texts = [row.cells[column].text for row in runs if "" in row.cells[column].numbers]
        if len(known) > 1:
            value, owner = max(known)
            top = next(text for text, each in zip(texts, known, strict=True) if each[0] == value)
            if texts.count(top) == 1:
                best.add((owner, column))
    return [
        replace(row, cells=tuple(replace(cell, is_best=(id(row), n) in best) for n, cell in enumerate(row.cells)))
        for row in rows
    ]
