"""What a bench that needs no model is asked and what it gives back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fico.report.table.run_tables import bytes_text, seconds_text
from fico.util.optional import requires_extra

with requires_extra("report"):
    from matplotlib.figure import Figure

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table for the terminal, for Markdown and for the page alike.

    Args:
        title: What stands above it.
        columns: Headings, with line breaks where they shall be narrow; the first column is text.
        rows: Cells, ready to read.
        faint: Rows that stand back: what a paper printed, what is dominated.
        note: Sentence below, which a reader of the numbers must know.
        is_long: The terminal leaves the faint rows out.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    faint: frozenset[int] = frozenset()
    note: str = ""
    is_long: bool = False

    def terminal(self) -> RenderableType:
        """For rich."""
        table = Table(box=SIMPLE_HEAD, padding=(0, 1), show_edge=False, pad_edge=False)
        for place, column in enumerate(self.columns):
            table.add_column(column, justify="right" if place else "left", no_wrap=True)
        for place, row in enumerate(self.rows):
            if not (self.is_long and place in self.faint):
                table.add_row(*row, style="dim" if place in self.faint else "")
        hidden = f"{len(self.faint)} more rows are in the report. " if self.is_long and self.faint else ""
        return Group(Text(self.title, style="bold"), table, Text(hidden + self.note), "")

    def markdown(self) -> str:
        """A title in bold, a table, the note."""
        lines = [
            f"**{self.title}**",
            "",
            _line([column.replace("\n", " ") for column in self.columns]),
            "|" + " --- |" + " ---: |" * (len(self.columns) - 1),
        ]
        lines += [
            _line([f"*{cell}*" if n in self.faint and cell else cell for cell in self.rows[n]]) for n in self._all
        ]
        return "\n".join([*lines, *(["", self.note] if self.note else [])]) + "\n"

    @property
    def _all(self) -> range:
        return range(len(self.rows))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a bench measured.

    Args:
        rows: One mapping per measured index, as ``results.json`` lists them under ``search``.
        sheets: Tables for readers.
        figures: By file name without ending.
        settings: What else a reader needs: times of coding, counts. Plain values by name, units in the names.
        notes: Sentences that belong to the numbers.
    """

    rows: list[dict[str, Any]]
    sheets: tuple[Sheet, ...]
    figures: Mapping[str, Figure] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Bench(Protocol):
    """A measurement that makes or reads its own data."""

    @property
    def queries(self) -> int:
        """Queries of the experiment."""
        ...

    @property
    def items(self) -> int:
        """Items of the experiment."""
        ...

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        ...

    @property
    def seed(self) -> int:
        """Of the data."""
        ...

    def check(self) -> None:
        """Refuses what is out of range and what this machine cannot hold, before anything starts."""
        ...

    def predicted(self) -> dict[str, tuple[float, float]]:
        """Seconds and bytes of each step by name."""
        ...

    def run(self, report: Report) -> Outcome:
        """Measures; ``report`` is told what begins."""
        ...


def threads(count: int) -> str:
    """``1 thread``, ``2 threads``."""
    return f"{count} thread{'s' if count > 1 else ''}"


def predictions(bench: Bench) -> Sheet:
    """What a bench will cost, as far as rates of one core of 2025 tell: within a factor of three elsewhere."""
    costs = bench.predicted()
    rows = [(name, seconds_text(seconds), bytes_text(size)) for name, (seconds, size) in costs.items()]
    total = (
        "all",
        seconds_text(sum(cost[0] for cost in costs.values())),
        bytes_text(max(c[1] for c in costs.values())),
    )
    title = f"predicted for {bench.queries:,} queries, {bench.items:,} items"
    return Sheet(title, ("step", "time", "memory"), (*rows, total))


def _line(cells: Any) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
