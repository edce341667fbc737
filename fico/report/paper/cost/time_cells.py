"""The paper's sizes of Tables 5 and 6, and cells of times at them."""

from collections.abc import Sequence

from fico.report.paper.cost.growth import TimeOfSize, fitted_exponent
from fico.report.paper.published_metrics import HARDWARE
from fico.report.table.table import NOTHING, Cell
from fico.util.units import seconds_text

SIZES = {"1K / 5K": 1_000, "10K / 50K": 10_000, "100K / 500K": 100_000, "1M / 5M": 1_000_000}
LARGEST = "1M / 5M"
CAPTIONS = 5  # per image, in the paper's sizes
PAPER_NOTE = (
    f"paper: FiCo-ITR, arXiv 2407.20114, on {HARDWARE}; ~ did not finish there and follows by the same rule from the "
    "sizes that did; – is not given."
)
DIFFERENT = "Times of different machines or precisions must not be compared."


def time_cell(found: TimeOfSize) -> Cell:
    """Seconds with the fastest and the slowest repeat; ``~`` before those that were not measured."""
    numbers = {"": found.seconds}
    if not found.is_measured:
        return Cell(f"~{seconds_text(found.seconds)}", numbers=numbers)
    if found.fastest is None or found.slowest is None:
        return Cell(seconds_text(found.seconds), numbers=numbers)
    note = f"{seconds_text(found.fastest)} to {seconds_text(found.slowest)}"
    return Cell(seconds_text(found.seconds), note, numbers | {"fastest": found.fastest, "slowest": found.slowest})


def number_cell(value: float | None, form: str) -> Cell:
    """A number with its format; None is a dash."""
    return Cell(NOTHING) if value is None else Cell(format(value, form), numbers={"": value})


def exponent_cell(counts: Sequence[int], seconds: Sequence[float]) -> Cell:
    """`fitted_exponent`, a dash below two different counts."""
    return number_cell(fitted_exponent(counts, seconds) if len(set(counts)) > 1 else None, ".2f")


def error_cell(error: float | None) -> Cell:
    """`Growth.error` in percent with its sign."""
    return number_cell(None if error is None else 100 * error, "+.1f")


def machine_notes(machines: Sequence[str]) -> list[str]:
    """What the numbers in a column ``machine`` stand for."""
    notes = [f"Machine {number}: {name}." for number, name in enumerate(machines, start=1)]
    return [*notes, *([DIFFERENT] if len(machines) > 1 else [])]
