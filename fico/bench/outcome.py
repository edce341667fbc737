"""The protocol of a bench that needs no model, and what it returns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from fico.report.table.table import Column, Row, Table, text_cells
from fico.util.optional import requires_extra
from fico.util.units import bytes_text, seconds_text

with requires_extra("report"):
    from matplotlib.figure import Figure

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a bench measured.

    Args:
        rows: One mapping per measured index, as ``results.json`` lists them under ``search``.
        tables: For readers.
        figures: By file name without ending.
        details: What else a reader needs: times of coding, counts. Plain values by name, units in the names.
        notes: Sentences that belong to the numbers.
    """

    rows: list[dict[str, Any]]
    tables: tuple[Table, ...]
    figures: Mapping[str, Figure] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
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
        """Measures; ``report`` is called with the name of each step as it begins."""
        ...


def threads(count: int) -> str:
    """``1 thread``, ``2 threads``."""
    return f"{count} thread{'s' if count > 1 else ''}"


def predictions(bench: Bench) -> Table:
    """What a bench will cost, from rates of one core of 2025, so within a factor of three elsewhere."""
    costs = bench.predicted()
    rows = [(name, seconds_text(seconds), bytes_text(size)) for name, (seconds, size) in costs.items()]
    seconds, size = sum(cost[0] for cost in costs.values()), max(cost[1] for cost in costs.values())
    rows.append(("all", seconds_text(seconds), bytes_text(size)))
    columns = Column("step", is_text=True), Column("time"), Column("memory")
    title = f"predicted for {bench.queries:,} queries, {bench.items:,} items"
    return Table("predicted", title, columns, tuple(Row(text_cells(*row)) for row in rows))
