"""The one table type of the project: what every format is written from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["run", "paper", "difference", "chance", "dominated"]
Emphasis = Literal["", "strong", "faint"]
NOTHING = "–"
NOT_APPLICABLE = "n/a"


@dataclass(frozen=True, slots=True)
class Scale:
    """A value with its interval and the level of chance on a scale from 0 to 100 %, which HTML draws.

    Args:
        value: Percent, as the others.
        low: Lower end of the interval.
        high: Upper end.
        chance: None where it is not known.
    """

    value: float
    low: float
    high: float
    chance: float | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Args:
        text: What a reader sees first.
        note: Smaller text after it: an interval, a spread, a p-value.
        numbers: For the CSV, by name; the first has the name ``""`` and is the value itself.
        is_best: Printed in bold.
        hint: Definition that HTML shows when the pointer rests on the cell.
        scale: Small drawing beside the text, in HTML alone.
    """

    text: str
    note: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)
    is_best: bool = False
    hint: str = ""
    scale: Scale | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A heading; adjacent columns of the same ``group`` share a heading above theirs.

    Args:
        name: Line breaks keep it narrow on a terminal; other formats write spaces.
        group: Heading above, with line breaks likewise.
        is_text: Aligned left; on a terminal of fixed width long cells continue in a second line.
        emphasis: How the whole column is printed on a terminal and in HTML.
        is_detail: The terminal leaves it out.
        tone: Class of the group's heading in HTML, such as the direction that its colour stands for.
    """

    name: str
    group: str = ""
    is_text: bool = False
    emphasis: Emphasis = ""
    is_detail: bool = False
    tone: str = ""

    @property
    def heading(self) -> str:
        """Group and name in one line."""
        return " ".join(filter(None, (self.group, self.name))).replace("\n", " ")


@dataclass(frozen=True, slots=True)
class Row:
    """Cells in the order of the columns; ``kind`` distinguishes measured numbers from the paper's and from chance."""

    cells: tuple[Cell, ...]
    kind: Kind = "run"

    @property
    def texts(self) -> tuple[str, ...]:
        """What a reader sees first in each cell."""
        return tuple(cell.text for cell in self.cells)


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Args:
        key: Short name for files and labels: letters, digits and hyphens.
        title: What it shows.
        columns: Headings.
        rows: Of as many cells as there are columns.
        notes: Sentences below it: definitions, what is missing, what must not be compared.
        folded: Kinds of rows that the terminal counts and leaves out.
        folded_because: What these rows have in common, such as ``others beat them``.
    """

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    folded: frozenset[Kind] = frozenset()
    folded_because: str = ""

    def __post_init__(self) -> None:
        """Refuses a row that does not fit the columns."""
        for row in self.rows:
            if len(row.cells) != len(self.columns):
                raise ValueError(f"{self.key} has {len(self.columns)} columns, but a row of {len(row.cells)} cells")

    @property
    def groups(self) -> list[tuple[Column, int]]:
        """The first column of each group with the number of the group's columns."""
        found: list[tuple[Column, int]] = []
        for column in self.columns:
            if found and found[-1][0].group == column.group:
                found[-1] = (found[-1][0], found[-1][1] + 1)
            else:
                found.append((column, 1))
        return found

    @property
    def has_groups(self) -> bool:
        """Whether any column has a heading above its own."""
        return any(column.group for column in self.columns)


def text_cells(*texts: str) -> tuple[Cell, ...]:
    """Cells of plain text."""
    return tuple(Cell(text) for text in texts)


def distinct(notes: Iterable[str]) -> tuple[str, ...]:
    """Each sentence once, empty ones left out."""
    return tuple(dict.fromkeys(filter(None, notes)))
