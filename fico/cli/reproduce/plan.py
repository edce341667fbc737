"""The runs behind the paper's tables, and how long each takes."""

from collections.abc import Sequence
from dataclasses import dataclass

from fico.cli.reproduce.inputs import Row
from fico.report.paper.published_metrics import ATTENTION, ENCODING
from fico.report.paper.published_search import PAPER
from fico.report.table.table import Column, Table, text_cells
from fico.report.table.table import Row as TableRow
from fico.util.units import seconds_text

START = 60.0  # seconds of reading data and weights, and of the tables
TABLE5 = 60.0  # seconds that the sizes of Table 5 may take in a run; the first is encoded twice whatever it takes
TABLE6 = 30.0  # seconds that those of Table 6 may take by each rule for k, of which re-rankers have two
IMAGES = 1_000  # of the paper's smallest size
CANDIDATES = 128  # of a query in the paper's Table 6
# Table 5, and the sizes of Table 6 that fit their budget, are measured beside the tables of quality.
OF_A_ROW = (
    "stage=[test]", "model.size=paper", "index=[]", "logger=none",
    "+callbacks.times._target_=callbacks.encoding_times.EncodingTimes", "+callbacks.times.context=null",
    f"+callbacks.times.budget={TABLE5:.0f}", "+callbacks.attention._target_=callbacks.attention_times.AttentionTimes",
    "+callbacks.attention.context=null", f"+callbacks.attention.budget={TABLE6:.0f}",
)  # fmt: skip
OF_A_MODEL = ("model.", "dataset.", "metric.", "throughput.", "callbacks.")  # keys that the search bench does not have
OF_THE_SEARCH = ("bench.",)
SIZE_OF_THE_SEARCH = ("bench.queries=", "bench.items=")


@dataclass(frozen=True, slots=True)
class Step:
    """One run.

    Args:
        name: What it measures.
        folder: Name of its folder.
        overrides: Of ``run.py``.
        predicted: Seconds on the paper's machine: encoding by its Table 5, attention by its Table 6, search by its
            Table 7.
    """

    name: str
    folder: str
    overrides: tuple[str, ...]
    predicted: float


def plan(rows: Sequence[Row], overrides: Sequence[str] = ()) -> list[Step]:
    """The sizes of the search bench and the rows that can be measured, the quickest first.

    Args:
        rows: Of the paper's tables.
        overrides: Further ones for every run that has their key, such as ``trainer=gpu``. Where they set queries or
            items of the search bench, that is its only size.
    """
    more = _without(overrides, OF_THE_SEARCH)
    steps = [
        Step(f"{row.name} on {row.dataset}", row.folder, (*row.overrides, *OF_A_ROW, *more), _predicted(row))
        for row in rows
        if not row.missing
    ]
    of_the_search = _without(overrides, OF_A_MODEL)
    is_given = any(override.lstrip("+").startswith(SIZE_OF_THE_SEARCH) for override in overrides)
    searches = [_search(*size, of_the_search) for size in sorted(PAPER)][: 1 if is_given else None]
    return sorted([*steps, *searches], key=lambda step: step.predicted)


def _without(overrides: Sequence[str], starts: tuple[str, ...]) -> list[str]:
    return [override for override in overrides if not override.lstrip("+~").startswith(starts)]


def _predicted(row: Row) -> float:
    """Re-rankers score the candidates of each query, pair scorers every pair."""
    times, is_reranker = row.images / IMAGES, row.name in ("blip2", "xvlm")
    encoding = times * ((ENCODING.get(row.name.removesuffix("(nf)")) or (0.0,))[0] or 0.0)
    attention = (ATTENTION.get(row.name) or (0.0,))[0] or 0.0
    seconds = START + encoding + max(2 * encoding, TABLE5)
    if not attention:
        return seconds
    if is_reranker:
        return seconds + attention * times * row.candidates / CANDIDATES + 2 * TABLE6
    return seconds + attention * times**2 + TABLE6


def _search(queries: int, items: int, more: Sequence[str]) -> Step:
    rows = PAPER[queries, items].values()
    seconds = sum((row.build_seconds or 0.0) + (row.search_seconds or 0.0) for row in rows)
    overrides = ("experiment=table7", f"bench.queries={queries}", f"bench.items={items}", "logger=none", *more)
    return Step(f"search of {queries:,} queries in {items:,} items", f"table7-{queries}-{items}", overrides, seconds)


def plan_table(steps: Sequence[Step], rows: Sequence[Row]) -> Table:
    """What will be measured and how long it takes; what is missing for the others."""
    columns = tuple(Column(name, is_text=True) for name in ("run", "predicted", "missing"))
    lines = [text_cells(step.name, seconds_text(step.predicted), "") for step in steps]
    lines += [text_cells(f"{row.name} on {row.dataset}", "", ", ".join(row.missing)) for row in rows if row.missing]
    total = seconds_text(sum(step.predicted for step in steps))
    note = f"predicted: on the paper's machine, from its Tables 5, 6 and 7; {total} in all."
    return Table("plan", "Runs of the paper's tables", columns, tuple(map(TableRow, lines)), (note,))
