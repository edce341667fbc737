"""A table as data, before it is text: what every format of the report is written from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from fico.report.results.schema import is_rank
from fico.report.results.seeds import Score
from fico.report.table.run_tables import shown

Kind = Literal["run", "paper", "difference", "chance"]
NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Args:
        text: What a reader sees first.
        note: What stands smaller behind it: an interval, a spread, a p-value.
        numbers: For the CSV, by name; the first has the name ``""`` and is the value itself.
        is_best: Printed in bold.
    """

    text: str
    note: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)
    is_best: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A heading; columns of the same ``group`` that stand side by side share a heading above theirs."""

    name: str
    group: str = ""
    is_text: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Cells in the order of the columns; ``kind`` tells our numbers from the paper's and from chance."""

    cells: tuple[Cell, ...]
    kind: Kind = "run"


@dataclass(frozen=True, slots=True)
class Grid:
    """A table.

    Args:
        key: Short name for files and labels: letters, digits and hyphens.
        title: What it shows.
        columns: Headings.
        rows: Of as many cells as there are columns.
        notes: Sentences below it: definitions, what is missing, what must not be compared.
    """

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuses a row that does not fit the columns."""
        for row in self.rows:
            if len(row.cells) != len(self.columns):
                raise ValueError(f"{self.key} has {len(self.columns)} columns, but a row of {len(row.cells)} cells")

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Headings above the headings, each with the number of its columns."""
        found: list[tuple[str, int]] = []
        for column in self.columns:
            if found and found[-1][0] == column.group:
                found[-1] = (column.group, found[-1][1] + 1)
            else:
                found.append((column.group, 1))
        return found


def words(*texts: str) -> tuple[Cell, ...]:
    """Cells of plain text."""
    return tuple(Cell(text) for text in texts)


def score_cell(name: str, score: Score | None, row_seeds: int = 1) -> Cell:
    """A metric in percent (ranks as they are) with its interval, or with its spread where it is a mean over seeds.

    Args:
        name: Of the metric.
        score: None gives a dash.
        row_seeds: Runs of the row; a mean over fewer says so.
    """
    if score is None:
        return Cell(NOTHING)
    factor = 1 if is_rank(name) else 100
    numbers = {"": factor * score.value}
    for part in ("low", "high", "spread"):
        end = getattr(score, part)
        if end is not None:
            numbers["sd" if part == "spread" else part] = factor * end
    if score.spread is not None:
        fewer = f", {score.seeds} seeds" if score.seeds != row_seeds else ""
        return Cell(shown(name, score.value), f"± {factor * score.spread:.2f}{fewer}", numbers)
    ends = (None if end is None else _short(name, end) for end in (score.low, score.high))
    note = "–".join(end for end in ends if end is not None)
    fewer = "1 seed" if score.seeds != row_seeds else ""
    return Cell(shown(name, score.value), ", ".join(filter(None, (note, fewer))), numbers)


def _short(name: str, value: float) -> str:
    return shown(name, value) if is_rank(name) else f"{100 * value:.1f}"


def joined(notes: Sequence[str]) -> tuple[str, ...]:
    """Each sentence once, empty ones left out."""
    return tuple(dict.fromkeys(filter(None, notes)))
