"""Hubness of a run: one row for each statistic, both directions side by side."""

from fico.report.results.display import DIRECTION_NAMES
from fico.report.results.schema import Results
from fico.report.table.table import NOTHING, Cell, Column, Row, Table

_FRACTIONS = {"never_found": "never found", "robin_hood": "Robin Hood index"}
_HINTS = {
    "skew_at_10": "Skewness of N_10, the number of queries that have an item among their first 10; 0 without hubs.",
    "never_found": "Fraction of the items that are among the first 10 of no query, in percent.",
    "robin_hood": "Fraction of all occurrences that would have to move for all items to be found equally often, in %.",
}


def hubness_table(results: Results) -> Table | None:
    """None where no hubness was measured."""
    if not results.hubness:
        return None
    rows = tuple(Row((Cell(_name(key), hint=hint), *_cells(results, key))) for key, hint in _HINTS.items())
    columns = (Column("hubness", is_text=True), *(Column(name, tone=way) for way, name in DIRECTION_NAMES.items()))
    return Table("hubness", "Hubness: how unevenly items are found among the first 10", columns, rows)


def _name(key: str) -> str:
    return f"{_FRACTIONS[key]}, %" if key in _FRACTIONS else "skew of N_10"


def _cells(results: Results, key: str) -> list[Cell]:
    factor = 100 if key in _FRACTIONS else 1
    values = [results.hubness.get(direction, {}).get(key) for direction in DIRECTION_NAMES]
    return [
        Cell(NOTHING) if value is None else Cell(f"{factor * value:.2f}", numbers={"": factor * value})
        for value in values
    ]
